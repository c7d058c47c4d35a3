-- group: comparison
-- answers: Which figures does wb compare take?
-- title: Figures for comparisons
-- about: One row per measured turn, with the figures that wb compare uses.
--   nth numbers the sessions of a run that played the same conversation and placement.
--   energy_per_token_j is the energy of the session over its tokens: it is the same for all turns of a session.
--   So is peak_memory_bytes, the highest memory reading.
--   process is the server process that served the turn.
--   It is known if wb started the server, or if the server reports when it began.
--   truncated: the server cut the history, and the turn is not compared.
--   buffered: tokens came in bursts.
--   began_warm: the session's first prompt was already in the prefix cache.
--   Such sessions are compared only with each other.
--   A time per token is empty where events carry an unknown number of tokens.
--   reply_bytes is the size of the reply's text, reasoning included.
--   text_bytes_per_s is the text after the first token over the time from the first token to the last.
-- var: runs = last:2
WITH itl AS (SELECT run_id, turn_id, quantile_cont(itl_ms, [0.5, 0.99]) AS itl FROM selected_gaps GROUP BY ALL),
event AS (
  SELECT run_id, turn_id, bool_or(kind = 'context_truncated') AS truncated, bool_or(kind = 'buffered') AS buffered
  FROM raw.event WHERE kind IN ('context_truncated', 'buffered') GROUP BY ALL),
text AS (
  SELECT c.run_id, c.turn_id, sum(c.text_bytes)::BIGINT AS bytes, sum(c.text_bytes) FILTER (WHERE c.t_ns > t.first_ns) AS after_bytes
  FROM raw.chunk c JOIN measured_turns t ON t.run_id = c.run_id AND t.turn_id = c.turn_id
  WHERE c.run_id IN (SELECT run_id FROM selected_runs) AND c.text_bytes > 0 GROUP BY ALL),
tokens AS (SELECT run_id, session_id, sum(completion_tokens) AS n FROM measured_turns GROUP BY ALL)
SELECT t.run_id, t.run, t.conversation, t.placement,
  dense_rank() OVER (PARTITION BY t.run_id, t.conversation, t.placement ORDER BY t.session_id) AS nth,
  t.turn, t.prompt_tokens, t.completion_tokens, t.ttft_ms,
  CASE WHEN t.counted_by IS NOT NULL THEN i.itl[1] END AS itl_p50_ms,
  CASE WHEN t.counted_by IS NOT NULL THEN i.itl[2] END AS itl_p99_ms,
  t.tpot_ms, t.e2e_ms, t.decode_tokens_per_s, t.hit_ratio,
  e.energy_j / nullif(k.n, 0) AS energy_per_token_j, m.peak_memory_bytes,
  CASE WHEN t.simulated THEN NULL WHEN x.pid IS NOT NULL THEN concat_ws(' ', r.hostname, x.pid, x.log_path)
    WHEN g.process_started_at IS NOT NULL THEN concat_ws(' ', g.url, g.process_started_at) END AS process,
  coalesce(x2.truncated, false) AS truncated, coalesce(x2.buffered, false) AS buffered, t.began_warm,
  b.bytes AS reply_bytes,
  CASE WHEN b.after_bytes > 0 AND t.last_ns > t.first_ns THEN b.after_bytes * 1e9 / (t.last_ns - t.first_ns) END AS text_bytes_per_s
FROM measured_turns t LEFT JOIN itl i USING (run_id, turn_id)
  LEFT JOIN text b ON b.run_id = t.run_id AND b.turn_id = t.turn_id
  LEFT JOIN event x2 ON x2.run_id = t.run_id AND x2.turn_id = t.turn_id
  LEFT JOIN session_energy e ON e.run_id = t.run_id AND e.session_id = t.session_id
  LEFT JOIN tokens k ON k.run_id = t.run_id AND k.session_id = t.session_id
  LEFT JOIN session_memory m ON m.run_id = t.run_id AND m.session_id = t.session_id
  JOIN raw.run r ON r.run_id = t.run_id
  JOIN raw.session s ON s.run_id = t.run_id AND s.session_id = t.session_id
  LEFT JOIN raw.engine_start x ON x.run_id = s.run_id AND x.start_id = s.start_id
  LEFT JOIN raw.engine g ON g.run_id = t.run_id
ORDER BY t.wall_time, t.turn_id;
