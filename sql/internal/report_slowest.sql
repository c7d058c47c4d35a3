-- the slowest turns of each selected run, with what may have been the cause
WITH t AS (
  SELECT m.run_id, m.run, m.turn_id, m.conversation, s.variant AS placement, m.repeat, m.turn, m.ttft_ms, m.prompt_tokens,
    m.uncached_tokens, m.submit_ns, m.first_ns, median(m.ttft_ms) OVER same AS typical_ttft_ms, count(*) OVER same AS plays
  FROM measured_turns m JOIN raw.session s ON s.run_id = m.run_id AND s.session_id = m.session_id WHERE m.ttft_ms IS NOT NULL
  WINDOW same AS (PARTITION BY m.run_id, m.conversation, s.variant, m.turn)),
worst AS ( -- of the repeats of a turn, only the slowest
  SELECT * FROM t QUALIFY row_number() OVER (PARTITION BY run_id, conversation, placement, turn ORDER BY ttft_ms DESC, turn_id) = 1),
slow AS (SELECT * FROM worst QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY ttft_ms DESC, turn_id) <= 5),
missed AS (
  SELECT run_id, turn_id, arg_max(cause, tokens) AS cause, max(tokens)::BIGINT AS cause_tokens
  FROM slow JOIN raw.cache_miss USING (run_id, turn_id) GROUP BY ALL),
beside AS ( -- other turns that were under way when it was sent
  SELECT s.run_id, s.turn_id, count(*) AS other_turns FROM slow s
    JOIN raw.turn o ON o.run_id = s.run_id AND o.turn_id <> s.turn_id AND o.submit_ns <= s.submit_ns AND o.done_ns > s.submit_ns
  GROUP BY ALL),
frozen AS (
  SELECT s.run_id, s.turn_id, count(*) AS freezes FROM slow s
    JOIN raw.event e ON e.run_id = s.run_id AND e.kind = 'frozen' AND e.t_ns BETWEEN s.submit_ns AND s.first_ns + 500000000
  GROUP BY ALL)
SELECT s.run, s.conversation, s.placement, s.repeat, s.turn, round(s.ttft_ms, 3) AS ttft_ms, s.prompt_tokens, s.uncached_tokens,
  e.prefix_caching, m.cause, m.cause_tokens, round(s.typical_ttft_ms, 3) AS typical_ttft_ms, s.plays,
  coalesce(b.other_turns, 0) AS other_turns,
  coalesce(f.freezes, 0) AS freezes, round(c.server_queue_ms, 3) AS server_queue_ms, s.run_id, s.turn_id
FROM slow s LEFT JOIN raw.engine e USING (run_id) LEFT JOIN missed m USING (run_id, turn_id) LEFT JOIN beside b USING (run_id, turn_id)
  LEFT JOIN frozen f USING (run_id, turn_id)
  LEFT JOIN selected_turn_counters c ON c.run_id = s.run_id AND c.turn_id = s.turn_id
ORDER BY s.ttft_ms DESC, s.run, s.turn_id
