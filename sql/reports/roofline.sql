-- group: throughput
-- answers: How close does the server come to the GPU's limits?
-- title: Achieved times and their limits
-- about: By turn, medians over repeats: how long a token and the prefill took, and how long they must take at least.
--   The limits come from the size of the model and the peaks of the GPU (roofline).
--   mbu_ratio: bytes to be read for a token, over its time and the peak bandwidth.
--   With speculation one step reads them once for step_tokens tokens.
--   mfu_ratio: arithmetic of the prefill, over its time and the peak.
--   limited_by: which part of the turn took longer, and what limited it.
--   overhead means more than three times the limit: neither memory nor arithmetic, but launches, scheduling or the client.
--   limits_of: the GPU whose peaks are used, or why there are no limits.
--   A turn that seems faster than its limit has no ratios, because a fact must be wrong (docs/reference/limits.md).
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: scatter x=context_tokens y=tpot_ms,decode_limit_ms series=run logx=true logy=true title="Time per token against the limit"
-- chart: scatter x=prefill_tokens y=prefill_ms,prefill_limit_ms series=run logx=true logy=true title="Prefill against the limit"
SELECT t.run, t.conversation, t.variant, t.turn, count(*) AS turns, round(avg(l.decode_context_tokens))::BIGINT AS context_tokens,
  round(median(l.step_tokens), 2) AS step_tokens, round(median(l.tpot_ms), 3) AS tpot_ms,
  round(median(l.decode_limit_ms), 3) AS decode_limit_ms,
  round(median(l.mbu_ratio), 4) AS mbu_ratio, round(avg(l.prefill_tokens))::BIGINT AS prefill_tokens,
  round(median(l.prefill_ms), 3) AS prefill_ms, round(median(l.prefill_limit_ms), 3) AS prefill_limit_ms,
  round(median(l.mfu_ratio), 4) AS mfu_ratio, round(median(l.times_limit), 2) AS times_limit, mode(l.limited_by) AS limited_by,
  coalesce(mode(l.limits_of) FILTER (WHERE starts_with(l.limits_of, 'unknown: ')), any_value(l.limits_of)) AS limits_of
FROM measured_turns t JOIN selected_turn_limits l USING (run_id, turn_id)
GROUP BY t.run_id, t.run, t.conversation, t.variant, t.turn
ORDER BY context_tokens, t.run, t.conversation, t.variant, t.turn;
