-- group: latency
-- answers: What happened in each turn?
-- title: Every turn
-- about: One row per request, with where its TTFT went; warm-up and failed requests are included.
--   server_queue_ms and server_prefill_ms are times of the server.
--   server_slot_wait_ms is llama.cpp's time until it began with the request.
--   server_other_ms is the rest of the server's TTFT: HTTP, chat template and tokenizing.
--   outside_ms is what the client saw beyond that: network and client.
-- var: runs = latest
SELECT t.run, t.conversation, t.placement, t.repeat, t.warmup, t.began_warm, t.turn, t.status, t.error,
  t.finish_reason, t.prompt_tokens, t.cached_tokens, c.counter_hit_tokens,
  round(t.hit_ratio, 4) AS hit_ratio, t.completion_tokens, round(t.ttft_ms, 3) AS ttft_ms, round(t.tpot_ms, 3) AS tpot_ms,
  round(t.decode_tokens_per_s, 2) AS decode_tokens_per_s,
  round(t.e2e_ms, 3) AS e2e_ms, round(c.server_queue_ms, 3) AS server_queue_ms,
  round(c.server_slot_wait_ms, 3) AS server_slot_wait_ms, round(c.server_prefill_ms, 3) AS server_prefill_ms,
  round(c.server_ttft_ms - c.server_queue_ms - c.server_prefill_ms, 3) AS server_other_ms,
  round(t.ttft_ms - c.server_part_ms, 3) AS outside_ms, round(c.server_decode_ms, 3) AS server_decode_ms,
  t.messages, t.documents, t.checks, t.checks_passed, t.wall_time, t.run_id, t.turn_id
FROM turns t LEFT JOIN selected_turn_counters c ON c.run_id = t.run_id AND c.turn_id = t.turn_id
WHERE t.run_id IN (SELECT run_id FROM selected_runs) ORDER BY t.run, t.turn_id;
