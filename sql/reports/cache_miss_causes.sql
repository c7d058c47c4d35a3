-- group: cache
-- answers: Why were prompt tokens computed?
-- title: Why prompt tokens were computed
-- about: Prompt tokens that did not come from the prefix cache, by cause, as means over repeats.
--   new_text was never sent before; all other tokens were.
--   Turns without token ids or cached tokens from the server are left out.
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: bar x=conversation_turn y=missed_mean_tokens series=cause stack=true
WITH t AS (
  SELECT * FROM cache_turns
  WHERE status = 'ok' AND NOT warmup AND NOT repeated AND run_id IN (SELECT run_id FROM selected_runs)
    -- without cached tokens no cause is known
    AND (cached_tokens IS NOT NULL OR (run_id, turn_id) IN (SELECT (run_id, turn_id) FROM raw.cache_miss))),
n AS (SELECT run_id, run, conversation, placement, turn, count(*) AS turns, min(wall_time) AS began FROM t GROUP BY ALL),
m AS (
  SELECT t.run_id, t.conversation, t.placement, t.turn, m.cause, sum(m.tokens) AS tokens
  FROM t JOIN raw.cache_miss m USING (run_id, turn_id) GROUP BY ALL),
causes AS ( -- new_text for every turn, so that each has a bar
  SELECT run_id, conversation, placement, turn, cause FROM m
  UNION SELECT run_id, conversation, placement, turn, 'new_text' FROM n)
SELECT CASE WHEN (SELECT count(DISTINCT run_id) FROM n) > 1 THEN n.run || ' ' ELSE '' END
  || CASE WHEN (SELECT count(DISTINCT conversation) FROM n) > 1 THEN n.conversation || ' ' ELSE '' END
    || CASE WHEN (SELECT count(DISTINCT placement) FROM n) > 1 THEN n.placement || ' ' ELSE '' END || n.turn AS conversation_turn,
  n.run, n.conversation, n.placement, n.turn, c.cause, round(coalesce(m.tokens, 0) / n.turns, 1) AS missed_mean_tokens, n.turns
FROM n JOIN causes c ON c.run_id = n.run_id AND c.conversation = n.conversation AND c.placement = n.placement AND c.turn = n.turn
  LEFT JOIN m ON m.run_id = c.run_id AND m.conversation = c.conversation AND m.placement = c.placement AND m.turn = c.turn
    AND m.cause = c.cause
ORDER BY min(n.began) OVER (PARTITION BY n.run_id, n.conversation, n.placement), n.turn,
  list_position(['new_text', 'changed_text', 'template_rewrote_history', 'retokenized', 'block_rounding', 'last_token', 'evicted',
      'slot_taken', 'host_memory_full', 'small_share', 'not_restorable',
      'context_shifted', 'hybrid_state', 'isolation', 'unknown'], c.cause);
