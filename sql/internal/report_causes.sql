-- prompt tokens that were computed in each selected run, by cause, and the turn where most of them were
WITH t AS (
  SELECT m.run_id, m.run, m.turn_id, m.conversation, m.turn, m.documents, m.prompt_tokens
  FROM measured_turns m JOIN raw.cache_turn USING (run_id, turn_id)),
n AS (SELECT run_id, sum(prompt_tokens) AS prompt_tokens FROM t GROUP BY run_id)
SELECT t.run, t.run_id, c.cause, sum(c.tokens)::BIGINT AS tokens, sum(c.tokens) / nullif(any_value(n.prompt_tokens), 0) AS of_prompt_ratio,
  count(*) AS turns, arg_max(t.conversation, c.tokens) AS conversation, arg_max(t.turn, c.tokens) AS turn,
  max(coalesce(t.documents, 0)) > 0 AS with_documents
FROM t JOIN raw.cache_miss c USING (run_id, turn_id) JOIN n USING (run_id)
WHERE c.tokens > 0 GROUP BY t.run, t.run_id, c.cause ORDER BY t.run, tokens DESC, c.cause
