-- group: latency
-- answers: How long until the first token, turn by turn?
-- title: Time to first token by turn
-- about: From the last written byte of the request to the first token, over repeats.
--   warm_turns are turns of sessions whose first prompt was already in the prefix cache.
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: line x=turn y=ttft_p50_ms series=series
SELECT conversation || CASE WHEN (SELECT count(DISTINCT placement) FROM measured_turns) > 1 THEN ' · ' || placement ELSE '' END
  || CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN ' · ' || run ELSE '' END AS series,
  run, conversation, placement, turn, count(*) AS turns, round(median(ttft_ms), 3) AS ttft_p50_ms, round(min(ttft_ms), 3) AS ttft_min_ms,
  round(max(ttft_ms), 3) AS ttft_max_ms, round(avg(prompt_tokens))::BIGINT AS prompt_mean_tokens,
  round(avg(uncached_tokens))::BIGINT AS uncached_mean_tokens,
  count(*) FILTER (WHERE began_warm) AS warm_turns
FROM measured_turns
GROUP BY run_id, run, conversation, placement, turn
ORDER BY min(wall_time), turn;
