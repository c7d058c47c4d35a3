-- group: latency
-- answers: How evenly do tokens come?
-- title: Inter-token latency
-- about: Time between tokens as they reached the client.
--   If one read of the socket brought several tokens, its gap is divided equally among them.
--   counted_by: tokens, or events where the server does not say how many tokens an event carries.
--   A figure by events is one of tokens only if each event carried one token.
--   Turns whose tokens all came at once are left out.
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: bar x=conversation y=itl_p50_ms,itl_p99_ms series=run
SELECT run, conversation, counted_by, tokens AS gap_tokens, round(mean, 3) AS itl_mean_ms, round(q[1], 3) AS itl_p50_ms,
  round(q[2], 3) AS itl_p90_ms, round(q[3], 3) AS itl_p95_ms, round(q[4], 3) AS itl_p99_ms, round(longest, 3) AS gap_max_ms
FROM (
  SELECT t.run, t.conversation,
    CASE WHEN bool_and(g.tokens IS NOT NULL) THEN 'tokens'
      WHEN bool_or(g.tokens IS NOT NULL) THEN 'tokens and events' ELSE 'events' END AS counted_by,
    count(*) AS tokens, avg(g.itl_ms) AS mean, quantile_cont(g.itl_ms, [0.5, 0.9, 0.95, 0.99]) AS q, max(g.gap_ms) AS longest,
    min(t.turn_id) AS nth
  FROM measured_turns t JOIN selected_gaps g ON g.run_id = t.run_id AND g.turn_id = t.turn_id,
    range(g.read_tokens) -- one row per token
  WHERE g.itl_ms IS NOT NULL
  GROUP BY t.run_id, t.run, t.conversation)
ORDER BY run, nth;
