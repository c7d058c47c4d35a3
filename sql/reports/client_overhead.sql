-- group: health
-- answers: How much time did wb itself take?
-- title: What wb itself cost
-- about: One row per run.
--   read_delay: from the kernel's receipt of a token to wb's time stamp, where the kernel reports it.
--   wb adds at most that much to a time.
--   The kernel reports the receipt of a read's last token only.
--   A token that others followed in the same read came after the previous read, and its delay counts from there.
--   alone_ratio is the share of tokens that came last in a read, and read_delay_alone_p99_ms is the delay of those.
--   added_p50_ms and added_p99_ms: the client's TTFT less the server's TTFT, by turn.
--   They hold everything in between: network, HTTP and wb.
--   They are known where turns were alone on the server and the server has the histogram.
--   cpu_cores: wb's processor time over the time of the run, an embedded simulator included.
--   gc_pause_ms: pauses of garbage collection.
--   sampling_ratio: the time that the samplers spent reading, over the time of the run.
--   during_scrapes: readings of /metrics inside turns.
--   frozen counts moments in which wb did not run, clock_steps jumps of the wall clock, buffer_full a recorder that was full.
--   Each of these three makes times doubtful.
-- var: runs = latest
WITH turn AS (
  SELECT t.run_id, count(*) AS turns, quantile_cont(t.ttft_ms - c.server_part_ms, 0.5) AS added_p50_ms,
    quantile_cont(t.ttft_ms - c.server_part_ms, 0.99) AS added_p99_ms, any_value(v.duration_s) AS duration_s
  FROM measured_turns t LEFT JOIN selected_turn_counters c USING (run_id, turn_id)
    LEFT JOIN (SELECT run_id, sum(to_ns - from_ns) / 1e9 AS duration_s FROM segments GROUP BY run_id) v ON v.run_id = t.run_id
  GROUP BY t.run_id),
wb AS (
  SELECT run_id, sum(cpu_s) * 1e9 / nullif(sum(ns), 0) AS cpu_cores, sum(gc_ns) / 1e6 AS gc_pause_ms, max(rss_bytes) AS wb_rss_peak_bytes
  FROM (SELECT p.run_id, v.segment, max(p.cpu_s) - min(p.cpu_s) AS cpu_s, max(p.t_ns) - min(p.t_ns) AS ns,
      max(p.gc_pause_ns) - min(p.gc_pause_ns) AS gc_ns, max(p.rss_bytes) AS rss_bytes
    FROM raw.process_sample p JOIN segments v ON v.run_id = p.run_id AND p.t_ns BETWEEN v.from_ns AND v.to_ns WHERE p.role = 'wb'
      GROUP BY ALL) GROUP BY run_id),
cost AS (
  SELECT run_id, sum(cost_ns) / 1e9 AS s FROM (
    SELECT run_id, cost_ns FROM raw.gpu_sample
    UNION ALL SELECT run_id, cost_ns FROM raw.host_sample
    UNION ALL SELECT run_id, cost_ns FROM raw.process_sample) GROUP BY run_id),
arrival AS (
  SELECT run_id, quantile_cont(read_delay_ns / 1e6, [0.5, 0.99]) AS q, max(read_delay_ns) / 1e6 AS max_ms,
    avg(CASE WHEN alone THEN 1.0 ELSE 0 END) AS alone, quantile_cont(read_delay_ns / 1e6, 0.99) FILTER (WHERE alone) AS alone_p99
  FROM (SELECT run_id, turn_id, read_delay_ns, text_bytes, tokens,
        lead(read_seq) OVER (PARTITION BY run_id, turn_id ORDER BY seq) IS DISTINCT FROM read_seq AS alone
      FROM raw.chunk WHERE run_id IN (SELECT run_id FROM selected_runs)) c
    JOIN measured_turns t USING (run_id, turn_id)
  WHERE c.read_delay_ns IS NOT NULL AND (c.text_bytes > 0 OR c.tokens > 0) GROUP BY run_id),
scrape AS (
  SELECT run_id, count(*) FILTER (WHERE phase = 'tick') AS during_scrapes, max(cost_ns) / 1e6 AS scrape_max_ms
  FROM raw.scrape GROUP BY run_id),
event AS (
  SELECT run_id, count(*) FILTER (WHERE kind = 'frozen') AS frozen, count(*) FILTER (WHERE kind = 'clock_step') AS clock_steps,
    count(*) FILTER (WHERE kind = 'buffer_full') AS buffer_full
  FROM raw.event GROUP BY run_id)
SELECT r.run, t.turns,
  round(a.q[1], 3) AS read_delay_p50_ms, round(a.q[2], 3) AS read_delay_p99_ms, round(a.max_ms, 3) AS read_delay_max_ms,
  round(a.alone, 4) AS alone_ratio, round(a.alone_p99, 3) AS read_delay_alone_p99_ms,
  round(t.added_p50_ms, 3) AS added_p50_ms, round(t.added_p99_ms, 3) AS added_p99_ms, round(o.cpu_cores, 4) AS cpu_cores,
  round(o.gc_pause_ms, 3) AS gc_pause_ms, o.wb_rss_peak_bytes, round(c.s / nullif(t.duration_s, 0), 5) AS sampling_ratio,
  s.during_scrapes, round(s.scrape_max_ms, 2) AS scrape_max_ms, coalesce(e.frozen, 0) AS frozen,
  coalesce(e.clock_steps, 0) AS clock_steps, coalesce(e.buffer_full, 0) AS buffer_full,
  CASE WHEN a.q IS NOT NULL THEN format('client added at most {:.2f} ms at p99', a.q[2])
      || CASE WHEN a.alone_p99 < a.q[2] AND a.alone < 1
          THEN format(' ({:.2f} ms to the {:.0f} % of tokens that came last in a read)', a.alone_p99, 100 * a.alone) ELSE '' END
      || CASE WHEN t.added_p99_ms > a.q[2] THEN format(', with the network {:.1f} ms', t.added_p99_ms) ELSE '' END
    WHEN t.added_p99_ms IS NOT NULL THEN format('client and network added at most {:.1f} ms at p99', greatest(t.added_p99_ms, 0))
      ELSE 'this run does not show it; wb selftest measures it' END
    || CASE WHEN coalesce(e.frozen, 0) > 0 THEN '; wb did not run at times, and times around them are not the server''s'
      ELSE '' END AS remark
FROM selected_runs r JOIN turn t USING (run_id) LEFT JOIN wb o USING (run_id) LEFT JOIN cost c USING (run_id)
  LEFT JOIN arrival a USING (run_id) LEFT JOIN scrape s USING (run_id) LEFT JOIN event e USING (run_id)
ORDER BY r.started_at, r.run;
