-- group: cache
-- answers: Do usage and counters give the same cached tokens?
-- title: Do the two counts of cached tokens agree?
-- about: Each turn's cached tokens by the usage (usage.prompt_tokens_details.cached_tokens), beside the server's counters.
--   The counters are the change of prefix_cache queries and hits across the turn, all cache tiers together.
--   server_cached_tokens is what llama.cpp's timings say in the last event.
--   external_hit_tokens came back from host memory or from another machine.
--   The two differ when somebody else used the server meanwhile (server_requests above 1), or when one of them is wrong.
--   Warm-up is included.
-- var: runs = latest
SELECT t.run, t.conversation, t.repeat, t.turn, t.prompt_tokens, c.counter_query_tokens, t.cached_tokens, c.counter_hit_tokens,
  c.server_cached_tokens, c.counter_external_hit_tokens AS external_hit_tokens,
  c.counter_hit_tokens - t.cached_tokens AS difference_tokens,
  c.counter_hit_tokens = t.cached_tokens AND c.counter_query_tokens = t.prompt_tokens
    AND coalesce(c.server_cached_tokens = t.cached_tokens, true) AS agree, c.server_requests
FROM turns t LEFT JOIN selected_turn_counters c ON c.run_id = t.run_id AND c.turn_id = t.turn_id
WHERE t.status = 'ok' AND t.run_id IN (SELECT run_id FROM selected_runs)
ORDER BY t.run, t.turn_id;
