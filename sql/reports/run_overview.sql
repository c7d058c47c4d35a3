-- group: comparison
-- answers: Which runs are there, and how did they do?
-- title: Runs at a glance
-- about: One row per run.
--   turns and all figures are of turns that ended well, without warm-up; failed_turns are counted apart.
--   Latencies are medians.
--   hit_ratio is over all prompt tokens of those turns.
-- var: runs = latest
SELECT r.run, r.status, r.simulated, r.engine || coalesce(' ' || r.engine_version, '') AS engine, r.model, r.tags, r.started_at,
  round(r.duration_s, 1) AS duration_s,
  count(m.turn_id) AS turns,
  count(t.turn_id) FILTER (WHERE t.status NOT IN ('ok', 'interrupted') AND NOT t.warmup AND NOT t.repeated) AS failed_turns,
  max(t.prompt_tokens) FILTER (WHERE m.turn_id IS NOT NULL) AS longest_prompt_tokens,
  round(sum(m.cached_tokens) / nullif(sum(m.prompt_tokens) FILTER (WHERE m.cached_tokens IS NOT NULL), 0), 4) AS hit_ratio,
  round(median(m.ttft_ms), 2) AS ttft_p50_ms, round(max(m.ttft_ms), 2) AS ttft_max_ms, round(median(m.tpot_ms), 3) AS tpot_p50_ms,
  round(median(m.decode_tokens_per_s), 1) AS decode_p50_tokens_per_s,
  (SELECT count(*) FROM raw.event e WHERE e.run_id = r.run_id) AS events, r.run_id
FROM selected_runs r LEFT JOIN turns t ON t.run_id = r.run_id LEFT JOIN measured_turns m ON m.run_id = t.run_id AND m.turn_id = t.turn_id
GROUP BY ALL ORDER BY r.started_at, r.run;
