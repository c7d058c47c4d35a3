-- group: cache
-- answers: How much of each prompt came from the cache?
-- title: Prefix-cache hit ratio by turn
-- about: Cached prompt tokens over prompt tokens, summed over repeats.
--   warm_turns are turns of sessions whose first prompt was already in the cache: they say nothing about cold sessions.
--   NULL means that the server did not report cached tokens (vLLM does with --enable-prompt-tokens-details).
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: line x=turn y=hit_ratio series=series
SELECT conversation || CASE WHEN (SELECT count(DISTINCT placement) FROM measured_turns) > 1 THEN ' · ' || placement ELSE '' END
  || CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN ' · ' || run ELSE '' END AS series,
  run, conversation, placement, turn, count(*) AS turns, sum(prompt_tokens)::BIGINT AS prompt_total_tokens,
  sum(cached_tokens)::BIGINT AS cached_total_tokens,
  sum(prompt_tokens - cached_tokens)::BIGINT AS uncached_total_tokens,
  round(sum(cached_tokens) / nullif(sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0), 4) AS hit_ratio,
  max(documents) AS documents, count(*) FILTER (WHERE began_warm) AS warm_turns
FROM measured_turns
GROUP BY run_id, run, conversation, placement, turn
ORDER BY min(wall_time), turn;
