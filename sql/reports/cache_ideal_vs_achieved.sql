-- group: cache
-- answers: How much could have come from the cache?
-- title: Prefix cache: achieved and possible
-- about: hit_ratio: cached tokens over prompt tokens, as the server reported them.
--   block_ideal_ratio: what whole blocks allow, given everything that was sent since the cache was cold.
--   text_ideal_ratio: what equal text would allow.
--   predicted_turns counts the turns in which the server hit exactly what a model of its cache predicts.
--   All repeats count together.
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: line x=turn y=hit_ratio,block_ideal_ratio,text_ideal_ratio series=series
SELECT conversation || ' · ' || placement || CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN ' · ' || run ELSE '' END AS series,
  run, conversation, placement, turn, count(*) AS turns,
  round(avg(prompt_tokens))::BIGINT AS prompt_mean_tokens, round(avg(cached_tokens))::BIGINT AS cached_mean_tokens,
  round(avg(block_ideal_tokens))::BIGINT AS block_ideal_mean_tokens, round(avg(text_ideal_tokens))::BIGINT AS text_ideal_mean_tokens,
  round(sum(cached_tokens) / nullif(sum(prompt_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0), 4) AS hit_ratio,
  round(sum(block_ideal_tokens) / nullif(sum(prompt_tokens) FILTER (WHERE block_ideal_tokens IS NOT NULL), 0), 4) AS block_ideal_ratio,
  round(sum(text_ideal_tokens) / nullif(sum(prompt_tokens) FILTER (WHERE text_ideal_tokens IS NOT NULL), 0), 4) AS text_ideal_ratio,
  count(*) FILTER (WHERE as_predicted) AS predicted_turns
FROM cache_turns WHERE status = 'ok' AND NOT warmup AND NOT repeated AND run_id IN (SELECT run_id FROM selected_runs)
GROUP BY run_id, run, conversation, placement, turn
ORDER BY min(wall_time), turn;
