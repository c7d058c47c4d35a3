-- group: GPU and energy
-- answers: How much memory was used at most?
-- title: Peak memory by run
-- about: The highest reading of each run.
--   It shows GPU memory, host memory, and resident memory of the server and of wb (an embedded simulator is part of wb).
--   kv_cache_peak_ratio is the share of the KV cache that running requests held.
--   A single user's turns of less than a second do not show it.
-- var: runs = latest
-- chart: bar x=run y=gpu_memory_peak_bytes,host_memory_peak_bytes,engine_rss_peak_bytes,wb_rss_peak_bytes
SELECT r.run,
  (SELECT max(s) FROM (SELECT sum(m) AS s FROM (
    SELECT gpu, max(memory_used_bytes) AS m FROM raw.gpu_sample g WHERE g.run_id = r.run_id GROUP BY gpu)))::BIGINT
    AS gpu_memory_peak_bytes,
  (SELECT max(memory_used_bytes) FROM raw.host_sample h WHERE h.run_id = r.run_id) AS host_memory_peak_bytes,
  (SELECT max(s) FROM (SELECT sum(m) AS s FROM (
    SELECT t_ns // 1000000000 AS second, pid, max(rss_bytes) AS m FROM raw.process_sample p
    WHERE p.run_id = r.run_id AND role = 'engine' GROUP BY ALL) GROUP BY second))::BIGINT
    AS engine_rss_peak_bytes,
  (SELECT max(rss_bytes) FROM raw.process_sample p WHERE p.run_id = r.run_id AND role = 'wb') AS wb_rss_peak_bytes,
  (SELECT max(value) FROM raw.engine_metric m JOIN raw.scrape s USING (run_id, scrape_id)
    WHERE s.phase = 'tick' AND m.run_id = r.run_id AND name IN (SELECT name FROM metric_names WHERE metric = 'kv_cache_usage_ratio')
      AND isfinite(value)) AS kv_cache_peak_ratio
FROM selected_runs r ORDER BY r.started_at, r.run;
