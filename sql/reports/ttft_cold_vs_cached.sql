-- group: latency
-- answers: How much time do cached tokens save?
-- title: Time to first token, cold and cached
-- about: Turns of about the same prompt length, by how much of the prompt came from the prefix cache.
--   prompt_from_tokens: the prompt has from that many tokens to twice as many.
--   cold is below a tenth, cached is from a half.
--   times_faster: median TTFT of the cold turns of that length in the same run, over this one; NULL where there were none.
-- var: runs = latest
-- chart: bar x=prompt_from_tokens y=ttft_p50_ms series=series title="Median TTFT by prompt length"
WITH classed AS (
  SELECT *,
    CASE WHEN hit_ratio IS NULL THEN 'unknown' WHEN hit_ratio < 0.1 THEN 'cold' WHEN hit_ratio < 0.5 THEN 'partly' ELSE 'cached' END
      AS cache,
    (2 ** floor(log2(greatest(prompt_tokens, 1))))::BIGINT AS prompt_from_tokens
  FROM measured_turns WHERE ttft_ms IS NOT NULL),
grouped AS (
  SELECT run_id, run, prompt_from_tokens, cache, count(*) AS turns, avg(prompt_tokens) AS prompt_tokens,
    avg(uncached_tokens) AS uncached_tokens, median(ttft_ms) AS ttft_p50_ms
  FROM classed GROUP BY run_id, run, prompt_from_tokens, cache)
SELECT CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN g.cache || ' · ' || g.run ELSE g.cache END AS series,
  g.run, g.prompt_from_tokens, g.cache, g.turns, round(g.prompt_tokens)::BIGINT AS prompt_mean_tokens,
  round(g.uncached_tokens)::BIGINT AS uncached_mean_tokens,
  round(g.ttft_p50_ms, 3) AS ttft_p50_ms, round(c.ttft_p50_ms / nullif(g.ttft_p50_ms, 0), 2) AS times_faster
FROM grouped g LEFT JOIN grouped c ON c.run_id = g.run_id AND c.prompt_from_tokens = g.prompt_from_tokens AND c.cache = 'cold'
ORDER BY g.prompt_from_tokens, list_position(['cold', 'partly', 'cached', 'unknown'], g.cache), g.run;
