-- group: cache
-- answers: Where should documents stand in a prompt?
-- title: Where documents stand, and what it costs
-- about: Conversations with documents, by placement and phase: before the first document, with documents, and after the last.
--   invalidated_total_tokens had been computed before, and were computed again because a document came, went or moved.
--   checks_total are texts that good answers contain, and checks_passed_total those that the replies contain.
--   Run it over wb run --rag-placement all.
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: bar x=place y=hit_ratio series=phase title="Prefix-cache hit ratio by placement"
-- chart: bar x=place y=invalidated_total_tokens series=phase title="Tokens that were computed again"
-- chart: bar x=place y=ttft_p50_ms series=phase title="Time to first token by placement"
WITH t AS (
  SELECT t.*,
    CASE WHEN t.documents > 0 THEN 'with'
      WHEN max(t.documents) OVER (PARTITION BY t.run_id, t.session_id ORDER BY t.turn) > 0 THEN 'after' ELSE 'before' END AS phase,
    CASE WHEN (t.run_id, t.turn_id) IN (SELECT run_id, turn_id FROM raw.cache_miss)
      THEN coalesce((SELECT sum(m.tokens) FROM raw.cache_miss m
        WHERE m.run_id = t.run_id AND m.turn_id = t.turn_id AND m.cause = 'changed_text'), 0) END AS invalidated
  FROM measured_turns t)
SELECT CASE WHEN count(DISTINCT run_id) OVER () > 1 THEN run || ' · ' ELSE '' END
    || CASE WHEN count(DISTINCT conversation) OVER () > 1 THEN conversation || ' · ' ELSE '' END || placement AS place,
  run, conversation, placement, phase, count(*) AS turns,
  sum(prompt_tokens)::BIGINT AS prompt_total_tokens,
  round(sum(cached_tokens) / nullif(sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0), 4) AS hit_ratio,
  sum(invalidated)::BIGINT AS invalidated_total_tokens,
  round(median(ttft_ms), 2) AS ttft_p50_ms, sum(checks)::BIGINT AS checks_total, sum(checks_passed)::BIGINT AS checks_passed_total
FROM t WHERE (run_id, conversation) IN (SELECT run_id, conversation FROM measured_turns WHERE documents > 0)
GROUP BY run_id, run, conversation, placement, phase
ORDER BY run, conversation, list_position(['system', 'first-user', 'before-last', 'append'], placement),
  list_position(['before', 'with', 'after'], phase);
