-- group: latency
-- answers: Where did the time to first token go?
-- title: Where the time to first token went
-- about: By turn, medians over repeats: where the time to first token went.
--   queue_p50_ms and prefill_p50_ms are times of the server.
--   slot_wait_p50_ms is llama.cpp's: until it began with the request, which is when it sends its headers.
--   It holds the chat template, tokenizing, the queue and the swap of a slot with host memory.
--   server_other_p50_ms is the rest of the server's TTFT, where it tells that: HTTP, chat template and tokenizing.
--   outside_p50_ms is what the client saw beyond all of these: network and client.
--   It is a little below 0 where the server began before the last byte of the request was written.
--   The times come from the last event of the reply, where the server puts them there.
--   Else they come from the change of the server's histograms around each turn, which is exact if nobody else used the server.
--   Other turns that were not alone are left out, as are warm-up and failed turns.
-- var: runs = latest
-- chart: bar x=conversation_turn y=queue_p50_ms,slot_wait_p50_ms,prefill_p50_ms,server_other_p50_ms,outside_p50_ms stack=true
WITH t AS (
  SELECT t.*, c.server_queue_ms, c.server_slot_wait_ms, c.server_prefill_ms, c.server_ttft_ms, c.server_part_ms
  FROM measured_turns t JOIN selected_turn_counters c USING (run_id, turn_id) WHERE c.server_part_ms IS NOT NULL)
SELECT CASE WHEN (SELECT count(DISTINCT run_id) FROM t) > 1 THEN run || ' ' ELSE '' END
  || CASE WHEN (SELECT count(DISTINCT conversation) FROM t) > 1 THEN conversation || ' ' ELSE '' END
    || CASE WHEN (SELECT count(DISTINCT placement) FROM t) > 1 THEN placement || ' ' ELSE '' END || turn AS conversation_turn,
  run, conversation, placement, turn, count(*) AS turns, round(avg(prompt_tokens))::BIGINT AS prompt_mean_tokens,
  round(avg(uncached_tokens))::BIGINT AS uncached_mean_tokens, round(median(ttft_ms), 3) AS ttft_p50_ms,
  round(median(server_queue_ms), 3) AS queue_p50_ms, round(median(server_slot_wait_ms), 3) AS slot_wait_p50_ms,
  round(median(server_prefill_ms), 3) AS prefill_p50_ms,
  round(median(server_ttft_ms - server_queue_ms - server_prefill_ms), 3) AS server_other_p50_ms,
  round(median(ttft_ms - server_part_ms), 3) AS outside_p50_ms
FROM t GROUP BY run_id, run, conversation, placement, t.turn
ORDER BY min(min(wall_time)) OVER (PARTITION BY run_id, conversation, placement), t.turn;
