-- title: Time to first token, cold against cached
-- about: Turns by how much of their prompt came from the prefix cache: cold below a tenth, cached from a half. times_faster compares the prefill rate over the whole prompt (prompt tokens a second until the first token) with the cold turns of the same run.
-- var: runs = latest
-- chart: bar x=cache y=prompt_tokens_per_s series=run title="Prompt tokens a second until the first token"
-- chart: bar x=cache y=ttft_p50_ms series=run title="Median TTFT"
WITH classed AS (
  SELECT *, CASE WHEN hit_ratio IS NULL THEN 'unknown' WHEN hit_ratio < 0.1 THEN 'cold' WHEN hit_ratio < 0.5 THEN 'partly' ELSE 'cached' END AS cache FROM measured_turns),
grouped AS (
  SELECT run_id, run, cache, count(*) AS turns, avg(prompt_tokens) AS prompt_tokens, avg(uncached_tokens) AS uncached_tokens,
    median(ttft_ms) AS ttft_p50_ms, sum(prompt_tokens) FILTER (WHERE ttft_ms IS NOT NULL) * 1e3 / nullif(sum(ttft_ms) FILTER (WHERE prompt_tokens IS NOT NULL), 0) AS prompt_tokens_per_s
  FROM classed GROUP BY run_id, run, cache)
SELECT g.run, g.cache, g.turns, round(g.prompt_tokens)::BIGINT AS prompt_tokens, round(g.uncached_tokens)::BIGINT AS uncached_tokens,
  round(g.ttft_p50_ms, 3) AS ttft_p50_ms, round(g.prompt_tokens_per_s, 1) AS prompt_tokens_per_s,
  round(g.prompt_tokens_per_s / nullif(c.prompt_tokens_per_s, 0), 2) AS times_faster
FROM grouped g LEFT JOIN grouped c ON c.run_id = g.run_id AND c.cache = 'cold'
ORDER BY g.run, list_position(['cold', 'partly', 'cached', 'unknown'], g.cache);
