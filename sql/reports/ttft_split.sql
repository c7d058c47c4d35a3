-- title: Where the time to first token went
-- about: By turn, medians over repeats: the server's queue and prefill, the rest of the server's own TTFT (HTTP, chat template, tokenizing), and what the client saw on top (network and client; a little below 0 where the server began before the request's last byte was written). From the change of the server's histograms around each turn, exact when nobody else used it; turns that were not alone are left out, as are warm-up and failed turns.
-- var: runs = latest
-- chart: bar x=turn y=queue_ms,prefill_ms,server_other_ms,outside_ms stack=true
WITH t AS (
  SELECT t.*, c.server_queue_ms, c.server_prefill_ms, c.server_ttft_ms
  FROM measured_turns t JOIN selected_turn_counters c USING (run_id, turn_id) WHERE c.server_ttft_ms IS NOT NULL)
SELECT CASE WHEN (SELECT count(DISTINCT run_id) FROM t) > 1 THEN run || ' ' ELSE '' END || CASE WHEN (SELECT count(DISTINCT conversation) FROM t) > 1 THEN conversation || ' ' ELSE '' END
    || CASE WHEN (SELECT count(DISTINCT variant) FROM t) > 1 THEN variant || ' ' ELSE '' END || turn AS turn,
  run, conversation, variant, turn AS turn_number, count(*) AS turns, round(avg(prompt_tokens))::BIGINT AS prompt_tokens, round(avg(uncached_tokens))::BIGINT AS uncached_tokens, round(median(ttft_ms), 3) AS ttft_p50_ms,
  round(median(server_queue_ms), 3) AS queue_ms, round(median(server_prefill_ms), 3) AS prefill_ms, round(median(server_ttft_ms - server_queue_ms - server_prefill_ms), 3) AS server_other_ms,
  round(median(ttft_ms - server_ttft_ms), 3) AS outside_ms
FROM t GROUP BY run_id, run, conversation, variant, t.turn
ORDER BY min(min(wall_time)) OVER (PARTITION BY run_id, conversation, variant), t.turn;
