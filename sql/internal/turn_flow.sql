-- How tokens reached the client, from the chunks of turns of an older wb, which did not record it.
-- docs/design/measuring.md says how it is used.
UPDATE raw.turn SET token_events = x.events, first_read_events = x.first_events, streamed_tokens = x.tokens,
  first_read_tokens = x.first_tokens
FROM (
  SELECT run_id, turn_id, CASE WHEN counted THEN n ELSE texts END AS events,
    CASE WHEN counted THEN first_n ELSE first_texts END AS first_events,
    CASE WHEN counted THEN sum_tokens END AS tokens, CASE WHEN counted THEN first_sum END AS first_tokens
  FROM (
    SELECT c.run_id, c.turn_id, count(*) FILTER (WHERE c.text_bytes > 0 AND c.tokens IS NULL) = 0 AS counted, count(*) AS n,
      count(*) FILTER (WHERE c.text_bytes > 0) AS texts,
      greatest(count(*) FILTER (WHERE c.t_ns = t.first_ns), 1) AS first_n,
      greatest(count(*) FILTER (WHERE c.t_ns = t.first_ns AND c.text_bytes > 0), 1) AS first_texts,
      sum(c.tokens)::BIGINT AS sum_tokens, coalesce(sum(c.tokens) FILTER (WHERE c.t_ns = t.first_ns), 1)::BIGINT AS first_sum
    FROM (SELECT * REPLACE (CASE WHEN tokens <= 65536 THEN tokens END AS tokens) FROM raw.chunk) c
    JOIN raw.turn t USING (run_id, turn_id)
    WHERE (c.text_bytes > 0 OR c.tokens > 0) AND t.token_events IS NULL GROUP BY ALL
  )
) x
WHERE raw.turn.run_id = x.run_id AND raw.turn.turn_id = x.turn_id AND raw.turn.token_events IS NULL
