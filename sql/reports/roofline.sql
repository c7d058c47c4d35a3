-- group: throughput
-- answers: How close are turns to the limits of GPU or memory?
-- title: Achieved times and their limits
-- about: By turn, medians over repeats: how long a token and the prefill took, and how long they must take at least.
--   The limits come from the size of the model and the peaks of the GPU (roofline).
--   Where the processors run the model, the limit of a token comes from the bandwidth of their memory, and prefill has none.
--   mbu_p50_ratio: bytes to be read for a token, over its time and the peak bandwidth.
--   With speculation one step reads them once for step_p50_tokens tokens.
--   mfu_p50_ratio: arithmetic of the prefill, over its time and the peak.
--   limited_by: which part of the turn took longer, and what limited it.
--   overhead means more than three times the limit: neither memory nor arithmetic, but launches, scheduling or the client.
--   On processors, whose peak of arithmetic is not known, it can be arithmetic too.
--   limits_of: the GPU or the memory whose peaks are used, or why there are no limits.
--   A turn that seems faster than its limit has no ratios, because a fact must be wrong (docs/reference/limits.md).
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: scatter x=context_mean_tokens y=tpot_p50_ms,decode_limit_p50_ms series=run logx=true logy=true title="Token time and its limit"
-- chart: scatter x=prefill_mean_tokens y=prefill_p50_ms,prefill_limit_p50_ms series=run logx=true logy=true title="Prefill and its limit"
SELECT t.run, t.conversation, t.placement, t.turn, count(*) AS turns, round(avg(l.decode_context_tokens))::BIGINT AS context_mean_tokens,
  round(median(l.step_tokens), 2) AS step_p50_tokens, round(median(l.tpot_ms), 3) AS tpot_p50_ms,
  round(median(l.decode_limit_ms), 3) AS decode_limit_p50_ms,
  round(median(l.mbu_ratio), 4) AS mbu_p50_ratio, round(avg(l.prefill_tokens))::BIGINT AS prefill_mean_tokens,
  round(median(l.prefill_ms), 3) AS prefill_p50_ms, round(median(l.prefill_limit_ms), 3) AS prefill_limit_p50_ms,
  round(median(l.mfu_ratio), 4) AS mfu_p50_ratio, round(median(l.times_limit), 2) AS times_limit_p50,
  CASE WHEN 2 * count(l.limited_by) >= count(*) THEN mode(l.limited_by) END AS limited_by,
  coalesce(mode(l.limits_of) FILTER (WHERE starts_with(l.limits_of, 'unknown: ')), any_value(l.limits_of)) AS limits_of
FROM measured_turns t JOIN selected_turn_limits l USING (run_id, turn_id)
GROUP BY t.run_id, t.run, t.conversation, t.placement, t.turn
ORDER BY context_mean_tokens, t.run, t.conversation, t.placement, t.turn;
