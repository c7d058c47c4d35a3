-- group: comparison
-- answers: How do machines compare?
-- title: Machines at a glance
-- about: One row per machine and model of the selected runs.
--   It gives how many runs and turns there are, when the last run began, and medians over all turns.
--   Simulated runs have separate rows.
--   Warm-up and failed turns are left out.
-- var: runs = all
-- chart: bar x=machine y=ttft_p50_ms series=model
WITH t AS (
  SELECT coalesce(r.hostname, 'unknown') AS machine,
    (SELECT any_value(g.name) FROM raw.gpu g WHERE g.run_id = r.run_id AND g.gpu = 0) AS gpu_name,
    r.model, r.simulated, r.run_id, r.started_at,
    t.ttft_ms, t.tpot_ms, t.decode_tokens_per_s, t.cached_tokens, t.prompt_tokens
  FROM selected_runs r LEFT JOIN measured_turns t USING (run_id))
SELECT machine, gpu_name, model, simulated, count(DISTINCT run_id) AS runs, count(ttft_ms) AS turns, max(started_at) AS last_started_at,
  round(quantile_cont(ttft_ms, 0.5), 2) AS ttft_p50_ms, round(quantile_cont(ttft_ms, 0.99), 2) AS ttft_p99_ms,
  round(quantile_cont(tpot_ms, 0.5), 3) AS tpot_p50_ms, round(quantile_cont(decode_tokens_per_s, 0.5), 2) AS decode_p50_tokens_per_s,
  round(sum(cached_tokens) / nullif(sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0), 4) AS hit_ratio
FROM t GROUP BY ALL ORDER BY machine, model, simulated, gpu_name;
