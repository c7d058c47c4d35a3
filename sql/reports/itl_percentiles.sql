-- title: Inter-token latency
-- about: Time between tokens as they reached the client; an event that carried several tokens counts its gap in equal parts. Empty when the server does not count tokens per event. Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: bar x=conversation y=itl_p50_ms,itl_p99_ms series=run
SELECT run, conversation, count(*) AS gap_tokens, round(avg(itl_ms), 3) AS itl_mean_ms, round(quantile_cont(itl_ms, 0.5), 3) AS itl_p50_ms,
  round(quantile_cont(itl_ms, 0.9), 3) AS itl_p90_ms, round(quantile_cont(itl_ms, 0.95), 3) AS itl_p95_ms, round(quantile_cont(itl_ms, 0.99), 3) AS itl_p99_ms,
  round(max(gap_ms), 3) AS gap_max_ms
FROM (SELECT t.run_id, t.run, t.conversation, t.turn_id, g.gap_ms, g.itl_ms, unnest(range(g.tokens)) AS token -- one row a token
  FROM measured_turns t JOIN gaps g ON g.run_id = t.run_id AND g.turn_id = t.turn_id WHERE g.itl_ms IS NOT NULL)
GROUP BY run_id, run, conversation
ORDER BY run, min(turn_id);
