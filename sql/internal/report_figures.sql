-- the figures of each selected run that open a report
WITH t AS (
  SELECT run_id, turn_id, session_id, conversation, placement, prompt_tokens, cached_tokens, completion_tokens, ttft_ms, tpot_ms,
    decode_tokens_per_s, submit_ns, done_ns
  FROM measured_turns),
spans AS ( -- turns of several users overlap: the times in which at least one was under way
  SELECT run_id, greatest(submit_ns, coalesce(before, submit_ns)) AS from_ns, done_ns AS to_ns
  FROM (
    SELECT run_id, submit_ns, done_ns, max(done_ns) OVER (
      PARTITION BY run_id ORDER BY submit_ns, done_ns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM t) WHERE done_ns > greatest(submit_ns, coalesce(before, submit_ns))),
busy AS (SELECT run_id, sum(to_ns - from_ns) / 1e9 AS busy_s FROM spans GROUP BY run_id),
measured AS (
  SELECT run_id, count(*) AS turns, count(DISTINCT (conversation, placement)) AS placed_conversations,
    count(DISTINCT session_id) AS sessions, quantile_cont(ttft_ms, 0.5) AS ttft_p50_ms, quantile_cont(ttft_ms, 0.99) AS ttft_p99_ms,
    max(ttft_ms) AS ttft_max_ms,
    quantile_cont(tpot_ms, 0.5) AS tpot_p50_ms, quantile_cont(decode_tokens_per_s, 0.5) AS decode_p50_tokens_per_s,
    sum(prompt_tokens) AS sent_tokens,
    sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL) AS prompt_tokens, sum(cached_tokens) AS cached_tokens,
    sum(completion_tokens) AS completion_tokens
  FROM t GROUP BY run_id),
cache AS ( -- the turns of which both are known
  SELECT run_id, sum(c.block_ideal_tokens) / nullif(sum(t.prompt_tokens), 0) AS block_ideal_ratio,
    sum(t.cached_tokens) / nullif(sum(t.prompt_tokens), 0) AS achieved_ratio
  FROM t JOIN raw.cache_turn c USING (run_id, turn_id)
  WHERE t.cached_tokens IS NOT NULL AND c.block_ideal_tokens IS NOT NULL GROUP BY run_id),
joules AS (
  SELECT s.run_id, sum(e.energy_j * (least(e.to_ns, s.to_ns) - greatest(e.from_ns, s.from_ns)) / (e.to_ns - e.from_ns)) AS energy_j
  FROM spans s JOIN energy e ON e.run_id = s.run_id AND e.to_ns > s.from_ns AND e.from_ns < s.to_ns GROUP BY s.run_id),
read_tokens AS ( -- of turns with readings of the GPU
  SELECT run_id, sum(completion_tokens) AS tokens FROM t SEMI JOIN turn_energy e USING (run_id, turn_id) GROUP BY run_id),
played AS (
  SELECT run_id, count(*) AS played_turns, count(*) FILTER (WHERE status NOT IN ('ok', 'interrupted')) AS failed_turns,
    arg_min(coalesce(error, status), turn_id) FILTER (WHERE status NOT IN ('ok', 'interrupted')) AS first_error,
    count(DISTINCT session_id) FILTER (WHERE began_warm) AS warm_sessions, count(DISTINCT session_id) AS played_sessions,
    any_value(isolation) AS isolation
  FROM turns WHERE NOT warmup AND NOT repeated AND run_id IN (SELECT run_id FROM selected_runs) GROUP BY run_id),
waits AS (
  SELECT run_id, count(*) FILTER (WHERE c.server_queue_ms > greatest(0.2 * m.ttft_ms, 1)) AS queued_turns,
    max(c.server_queue_ms) AS queue_max_ms,
    sum(c.server_preemptions) AS preemptions
  FROM measured_turns m JOIN selected_turn_counters c USING (run_id, turn_id) GROUP BY run_id)
SELECT r.run, r.run_id, r.simulated, g.prefix_caching, g.block_size_tokens,
  r.status, coalesce(r.error, '') AS error, coalesce(m.turns, 0) AS turns,
  m.placed_conversations, m.sessions,
  m.ttft_p50_ms, m.ttft_p99_ms, m.ttft_max_ms, m.tpot_p50_ms, m.decode_p50_tokens_per_s, m.sent_tokens::BIGINT AS sent_tokens,
  m.prompt_tokens::BIGINT AS prompt_tokens,
  m.cached_tokens::BIGINT AS cached_tokens, m.cached_tokens / nullif(m.prompt_tokens, 0) AS hit_ratio, c.block_ideal_ratio,
  c.achieved_ratio,
  m.completion_tokens::BIGINT AS completion_tokens, b.busy_s, m.completion_tokens / nullif(b.busy_s, 0) AS completion_tokens_per_s,
  j.energy_j, j.energy_j / nullif(k.tokens, 0) AS energy_per_token_j, (SELECT count(*) FROM raw.gpu x WHERE x.run_id = r.run_id) AS gpus,
  (SELECT any_value(value) FROM raw.setting s WHERE s.run_id = r.run_id AND s.source = 'plan' AND s.name = 'sample_hz') AS sample_hz,
  coalesce(p.played_turns, 0) AS played_turns, coalesce(p.failed_turns, 0) AS failed_turns, coalesce(p.first_error, '') AS first_error,
  coalesce(p.warm_sessions, 0) AS warm_sessions, coalesce(p.played_sessions, 0) AS played_sessions,
  coalesce(p.isolation, '') AS isolation, coalesce(w.queued_turns, 0) AS queued_turns, w.queue_max_ms,
  coalesce(w.preemptions, 0)::BIGINT AS preemptions
FROM selected_runs r LEFT JOIN raw.engine g USING (run_id) LEFT JOIN measured m USING (run_id) LEFT JOIN busy b USING (run_id)
  LEFT JOIN cache c USING (run_id) LEFT JOIN joules j USING (run_id) LEFT JOIN read_tokens k USING (run_id)
  LEFT JOIN played p USING (run_id) LEFT JOIN waits w USING (run_id)
ORDER BY r.started_at, r.run
