-- title: Do the two counts of cached tokens agree?
-- about: usage.prompt_tokens_details.cached_tokens of each turn beside the change of the server's prefix_cache counters across it, of all tiers together; external_hit_tokens came back from host memory or another machine. They differ when somebody else used the server meanwhile (server_requests above 1), or when one of them is wrong. Warm-up included.
-- var: runs = latest
SELECT t.run, t.conversation, t.repeat, t.turn, t.prompt_tokens, c.counter_query_tokens, t.cached_tokens, c.counter_hit_tokens,
  c.counter_external_hit_tokens AS external_hit_tokens,
  c.counter_hit_tokens - t.cached_tokens AS difference_tokens,
  c.counter_hit_tokens = t.cached_tokens AND c.counter_query_tokens = t.prompt_tokens AS agree, c.server_requests
FROM turns t LEFT JOIN selected_turn_counters c ON c.run_id = t.run_id AND c.turn_id = t.turn_id
WHERE t.status = 'ok' AND t.run_id IN (SELECT run_id FROM selected_runs)
ORDER BY t.run, t.turn_id;
