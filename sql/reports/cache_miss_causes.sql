-- title: Why prompt tokens were computed
-- about: Tokens that did not come from the prefix cache, by cause, mean over repeats. new_text was never sent before; everything else was. Warm-up and failed turns are left out, and turns whose token ids the server did not tell.
-- var: runs = latest
-- chart: bar x=turn y=tokens series=cause stack=true
WITH m AS (
  SELECT c.run, c.conversation, c.variant, c.turn, c.turn_id, c.run_id, m.cause, m.tokens FROM cache_turns c JOIN raw.cache_miss m USING (run_id, turn_id)
  WHERE c.status = 'ok' AND NOT c.warmup AND c.run_id IN (SELECT run_id FROM selected_runs)),
n AS (SELECT run_id, conversation, variant, turn, count(DISTINCT turn_id) AS turns FROM m GROUP BY ALL)
SELECT m.run || ' · ' || m.conversation || ' · ' || m.variant || ' · ' || m.turn AS turn, m.run, m.conversation, m.variant, m.turn AS turn_number, m.cause, round(sum(m.tokens) / any_value(n.turns), 1) AS tokens, any_value(n.turns) AS turns
FROM m JOIN n ON n.run_id = m.run_id AND n.conversation = m.conversation AND n.variant = m.variant AND n.turn = m.turn
GROUP BY m.run, m.conversation, m.variant, m.turn, m.cause
ORDER BY m.run, m.conversation, m.variant, m.turn, list_position(['new_text', 'changed_text', 'template_rewrote_history', 'retokenized', 'block_rounding', 'last_token', 'evicted', 'isolation', 'unknown'], m.cause);
