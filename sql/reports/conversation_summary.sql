-- group: latency
-- answers: How did each conversation do?
-- title: Conversations at a glance
-- about: One row per conversation, and per placement of documents where there are several, over all repeats.
--   Latencies are medians.
--   longest_prompt_tokens is the context that the conversation reached.
--   energy_total_j leaves out sessions with a failed turn.
--   warm_sessions are those whose first prompt was already in the prefix cache.
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: bar x=conversation y=ttft_p50_ms series=run
-- chart: bar x=conversation y=hit_ratio series=run title="Prefix-cache hit ratio"
SELECT t.run,
  t.conversation || CASE WHEN (SELECT count(DISTINCT placement) FROM measured_turns) > 1 THEN ' · ' || t.placement ELSE '' END
    AS conversation,
  count(DISTINCT t.session_id) AS sessions, count(*) AS turns, max(t.prompt_tokens) AS longest_prompt_tokens,
  sum(t.completion_tokens)::BIGINT AS completion_total_tokens,
  round(sum(t.cached_tokens) / nullif(sum(t.prompt_tokens) FILTER (WHERE t.cached_tokens IS NOT NULL), 0), 3) AS hit_ratio,
  round(median(t.ttft_ms), 1) AS ttft_p50_ms, round(max(t.ttft_ms), 1) AS ttft_max_ms, round(median(t.tpot_ms), 2) AS tpot_p50_ms,
  round(median(t.decode_tokens_per_s), 1) AS decode_p50_tokens_per_s, round(sum(t.e2e_ms) / 1e3, 2) AS e2e_total_s,
  round(any_value(e.energy_j), 1) AS energy_total_j,
  count(DISTINCT t.session_id) FILTER (WHERE t.began_warm) AS warm_sessions
FROM measured_turns t LEFT JOIN (
  SELECT s.run_id, s.conversation, s.variant, sum(x.energy_j) AS energy_j FROM raw.session s
    JOIN session_energy x USING (run_id, session_id)
  WHERE NOT s.warmup AND s.status <> 'repeated' AND NOT EXISTS (
    SELECT 1 FROM raw.turn f WHERE f.run_id = s.run_id AND f.session_id = s.session_id AND f.status <> 'ok') GROUP BY ALL) e
  ON e.run_id = t.run_id AND e.conversation = t.conversation AND e.variant = t.placement
GROUP BY t.run_id, t.run, t.conversation, t.placement ORDER BY min(t.wall_time);
