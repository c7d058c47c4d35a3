-- Views that put what belongs together into one row: for notebooks and spreadsheets.

CREATE OR REPLACE VIEW turns_wide AS
WITH itl AS (
  SELECT run_id, turn_id, quantile_cont(itl_ms, [0.5, 0.99]) AS itl, max(gap_ms) AS gap_max_ms, median(gap_ms) AS gap_p50_ms,
    coalesce(list(gap_ms) FILTER (WHERE gap_ms > 20), []) AS long_gaps
  FROM gaps GROUP BY ALL),
miss AS (
  SELECT run_id, turn_id,
    coalesce(sum(tokens) FILTER (WHERE cause = 'new_text'), 0)::BIGINT AS new_text,
    coalesce(sum(tokens) FILTER (WHERE cause = 'changed_text'), 0)::BIGINT AS changed_text,
    coalesce(sum(tokens) FILTER (WHERE cause = 'template_rewrote_history'), 0)::BIGINT AS template_rewrote_history,
    coalesce(sum(tokens) FILTER (WHERE cause = 'retokenized'), 0)::BIGINT AS retokenized,
    coalesce(sum(tokens) FILTER (WHERE cause = 'block_rounding'), 0)::BIGINT AS block_rounding,
    coalesce(sum(tokens) FILTER (WHERE cause = 'last_token'), 0)::BIGINT AS last_token,
    coalesce(sum(tokens) FILTER (WHERE cause = 'evicted'), 0)::BIGINT AS evicted,
    coalesce(sum(tokens) FILTER (WHERE cause = 'slot_taken'), 0)::BIGINT AS slot_taken,
    coalesce(sum(tokens) FILTER (WHERE cause = 'host_memory_full'), 0)::BIGINT AS host_memory_full,
    coalesce(sum(tokens) FILTER (WHERE cause = 'small_share'), 0)::BIGINT AS small_share,
    coalesce(sum(tokens) FILTER (WHERE cause = 'not_restorable'), 0)::BIGINT AS not_restorable,
    coalesce(sum(tokens) FILTER (WHERE cause = 'context_shifted'), 0)::BIGINT AS context_shifted,
    coalesce(sum(tokens) FILTER (WHERE cause = 'hybrid_state'), 0)::BIGINT AS hybrid_state,
    coalesce(sum(tokens) FILTER (WHERE cause = 'isolation'), 0)::BIGINT AS isolation,
    coalesce(sum(tokens) FILTER (WHERE cause = 'unknown'), 0)::BIGINT AS unknown
  FROM raw.cache_miss GROUP BY ALL)
SELECT t.run_id, t.run, r.model, r.engine, r.engine_version, t.simulated, t.session_id, t.conversation, t.placement, t.repeat,
  t.client_user, t.isolation, t.warmup, t.repeated, t.began_warm, t.turn_id, t.turn, t.wall_time, t.status, t.error, t.finish_reason,
  t.messages, t.documents, t.checks, t.checks_passed,
  t.wait_ms, t.ttft_ms, t.ttft_ms - c.server_part_ms AS outside_ms, c.server_ttft_ms, c.server_queue_ms,
  c.server_slot_wait_ms, c.server_prefill_ms,
  c.server_ttft_ms - c.server_queue_ms - c.server_prefill_ms AS server_other_ms, (t.last_ns - t.first_ns) / 1e6 AS decode_ms,
  c.server_decode_ms, t.e2e_ms, t.tpot_ms, t.decode_tokens_per_s, CASE WHEN t.counted_by IS NOT NULL THEN i.itl[1] END AS itl_p50_ms,
  CASE WHEN t.counted_by IS NOT NULL THEN i.itl[2] END AS itl_p99_ms, i.gap_max_ms,
  len(list_filter(i.long_gaps, lambda x: x > 5 * i.gap_p50_ms)) AS stalls, c.server_preemptions, c.server_requests,
  t.prompt_tokens, t.cached_tokens, t.uncached_tokens, t.completion_tokens, t.reasoning_tokens, t.decode_tokens, t.counted_by,
  t.hit_ratio, c.counter_hit_tokens, x.block_size_tokens, x.block_ideal_tokens, x.block_ideal_tokens / t.prompt_tokens AS block_ideal_ratio,
  x.text_ideal_tokens, x.text_ideal_tokens / t.prompt_tokens AS text_ideal_ratio, x.predicted_tokens,
  coalesce(m.new_text, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_new_text_tokens,
  coalesce(m.changed_text, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_changed_text_tokens,
  coalesce(m.template_rewrote_history, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_template_rewrote_history_tokens,
  coalesce(m.retokenized, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_retokenized_tokens,
  coalesce(m.block_rounding, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_block_rounding_tokens,
  coalesce(m.last_token, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_last_token_tokens,
  coalesce(m.evicted, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_evicted_tokens,
  coalesce(m.slot_taken, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_slot_taken_tokens,
  coalesce(m.host_memory_full, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_host_memory_full_tokens,
  coalesce(m.small_share, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_small_share_tokens,
  coalesce(m.not_restorable, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_not_restorable_tokens,
  coalesce(m.context_shifted, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_context_shifted_tokens,
  coalesce(m.hybrid_state, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_hybrid_state_tokens,
  coalesce(m.isolation, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_isolation_tokens,
  coalesce(m.unknown, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_unknown_tokens,
  e.energy_j, e.idle_energy_j, e.covered_ratio, e.energy_j / nullif(t.completion_tokens, 0) AS energy_per_token_j,
  e.energy_j * 1e3 / nullif(t.e2e_ms * e.covered_ratio, 0) AS power_mean_w, p.peak_memory_bytes,
  l.decode_limit_ms, l.mbu_ratio, l.prefill_limit_ms, l.mfu_ratio, l.times_limit, l.limited_by, l.limits_of, t.request_id
FROM turns t JOIN runs r ON r.run_id = t.run_id
  LEFT JOIN turn_counters c ON c.run_id = t.run_id AND c.turn_id = t.turn_id
  LEFT JOIN turn_limits l ON l.run_id = t.run_id AND l.turn_id = t.turn_id
  LEFT JOIN raw.cache_turn x ON x.run_id = t.run_id AND x.turn_id = t.turn_id
  LEFT JOIN turn_energy e ON e.run_id = t.run_id AND e.turn_id = t.turn_id
  LEFT JOIN session_memory p ON p.run_id = t.run_id AND p.session_id = t.session_id
  LEFT JOIN miss m ON m.run_id = t.run_id AND m.turn_id = t.turn_id
  LEFT JOIN itl i ON i.run_id = t.run_id AND i.turn_id = t.turn_id;
COMMENT ON VIEW turns_wide IS
  'one row per request with all that is known about it: times, tokens, cache, causes of misses, energy and limits; failed ones and '
  'warm-up included';
COMMENT ON COLUMN turns_wide.outside_ms IS 'TTFT less what the server accounts for: network and client';
COMMENT ON COLUMN turns_wide.server_other_ms IS 'TTFT of the server less queue and prefill: HTTP, chat template and tokenizing';
COMMENT ON COLUMN turns_wide.decode_ms IS 'from the read that brought the first token to the read that brought the last';
COMMENT ON COLUMN turns_wide.itl_p50_ms IS
  'median inter-token latency of the turn; NULL where events carry an unknown number of tokens';
COMMENT ON COLUMN turns_wide.itl_p99_ms IS
  '99th percentile of the inter-token latency; NULL where events carry an unknown number of tokens';
COMMENT ON COLUMN turns_wide.gap_max_ms IS 'longest time between two events that carried tokens';
COMMENT ON COLUMN turns_wide.stalls IS 'gaps of more than 20 ms and five times the median gap of the turn; NULL where there is no gap';
COMMENT ON COLUMN turns_wide.decode_tokens_per_s IS 'decode_tokens over the time from the first token to the last';
COMMENT ON COLUMN turns_wide.counter_hit_tokens IS 'cached tokens by the change of the server''s counters across the turn';
COMMENT ON COLUMN turns_wide.block_ideal_tokens IS
  'the most that vLLM can hit: whole blocks of the longest prefix that was sent before, with at least one token computed';
COMMENT ON COLUMN turns_wide.block_ideal_ratio IS 'the largest hit ratio that whole blocks allow, 0 to 1';
COMMENT ON COLUMN turns_wide.text_ideal_ratio IS 'the largest hit ratio that equal text allows, 0 to 1';
COMMENT ON COLUMN turns_wide.miss_new_text_tokens IS
  'prompt tokens computed since their text was never sent before; NULL where the causes are not known; '
  'cached_tokens and the fifteen causes add up to prompt_tokens';
COMMENT ON COLUMN turns_wide.miss_changed_text_tokens IS
  'prompt tokens computed although their text was sent before, since something in front of them changed; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_template_rewrote_history_tokens IS
  'prompt tokens computed since the chat template renders earlier messages differently; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_retokenized_tokens IS
  'prompt tokens computed since a reply came back as other token ids than were generated; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_block_rounding_tokens IS
  'prompt tokens computed since they do not fill a whole block; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_last_token_tokens IS
  'prompt tokens computed since the last token of a prompt always is; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_evicted_tokens IS
  'prompt tokens computed since the cache had evicted them; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_slot_taken_tokens IS
  'prompt tokens computed since another prompt took the slot and the server did not bring this one back; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_host_memory_full_tokens IS
  'prompt tokens computed since host memory had no room for the prompt that held them; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_small_share_tokens IS
  'prompt tokens computed although another slot or host memory held them, since too little was shared to use it; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_not_restorable_tokens IS
  'prompt tokens computed although they were held, since a sliding window or a recurrent state cannot be taken up there; NULL where not '
  'known';
COMMENT ON COLUMN turns_wide.miss_context_shifted_tokens IS
  'prompt tokens computed since the server had shifted its context; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_hybrid_state_tokens IS
  'prompt tokens computed although they were held, since a hybrid model''s state is cached at certain places only; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_isolation_tokens IS
  'prompt tokens computed since isolation keeps the session apart from the one that sent them; NULL where not known';
COMMENT ON COLUMN turns_wide.miss_unknown_tokens IS
  'prompt tokens computed for no known cause, although they should have hit; NULL where not known';
COMMENT ON COLUMN turns_wide.covered_ratio IS 'share of the turn that readings of energy cover, 0 to 1';
COMMENT ON COLUMN turns_wide.energy_per_token_j IS 'energy over completion tokens';
COMMENT ON COLUMN turns_wide.power_mean_w IS 'mean power of all GPUs during the turn: energy over the time that readings cover';
COMMENT ON COLUMN turns_wide.peak_memory_bytes IS 'highest memory reading during the session of the turn';

CREATE OR REPLACE VIEW selected_turns_wide AS
WITH itl AS (
  SELECT run_id, turn_id, quantile_cont(itl_ms, [0.5, 0.99]) AS itl, max(gap_ms) AS gap_max_ms, median(gap_ms) AS gap_p50_ms,
    coalesce(list(gap_ms) FILTER (WHERE gap_ms > 20), []) AS long_gaps
  FROM selected_gaps GROUP BY ALL),
miss AS (
  SELECT run_id, turn_id,
    coalesce(sum(tokens) FILTER (WHERE cause = 'new_text'), 0)::BIGINT AS new_text,
    coalesce(sum(tokens) FILTER (WHERE cause = 'changed_text'), 0)::BIGINT AS changed_text,
    coalesce(sum(tokens) FILTER (WHERE cause = 'template_rewrote_history'), 0)::BIGINT AS template_rewrote_history,
    coalesce(sum(tokens) FILTER (WHERE cause = 'retokenized'), 0)::BIGINT AS retokenized,
    coalesce(sum(tokens) FILTER (WHERE cause = 'block_rounding'), 0)::BIGINT AS block_rounding,
    coalesce(sum(tokens) FILTER (WHERE cause = 'last_token'), 0)::BIGINT AS last_token,
    coalesce(sum(tokens) FILTER (WHERE cause = 'evicted'), 0)::BIGINT AS evicted,
    coalesce(sum(tokens) FILTER (WHERE cause = 'slot_taken'), 0)::BIGINT AS slot_taken,
    coalesce(sum(tokens) FILTER (WHERE cause = 'host_memory_full'), 0)::BIGINT AS host_memory_full,
    coalesce(sum(tokens) FILTER (WHERE cause = 'small_share'), 0)::BIGINT AS small_share,
    coalesce(sum(tokens) FILTER (WHERE cause = 'not_restorable'), 0)::BIGINT AS not_restorable,
    coalesce(sum(tokens) FILTER (WHERE cause = 'context_shifted'), 0)::BIGINT AS context_shifted,
    coalesce(sum(tokens) FILTER (WHERE cause = 'hybrid_state'), 0)::BIGINT AS hybrid_state,
    coalesce(sum(tokens) FILTER (WHERE cause = 'isolation'), 0)::BIGINT AS isolation,
    coalesce(sum(tokens) FILTER (WHERE cause = 'unknown'), 0)::BIGINT AS unknown
  FROM raw.cache_miss WHERE run_id IN (SELECT run_id FROM selected_runs) GROUP BY ALL)
SELECT t.run_id, t.run, r.model, r.engine, r.engine_version, t.simulated, t.session_id, t.conversation, t.placement, t.repeat,
  t.client_user, t.isolation, t.warmup, t.repeated, t.began_warm, t.turn_id, t.turn, t.wall_time, t.status, t.error, t.finish_reason,
  t.messages, t.documents, t.checks, t.checks_passed,
  t.wait_ms, t.ttft_ms, t.ttft_ms - c.server_part_ms AS outside_ms, c.server_ttft_ms, c.server_queue_ms,
  c.server_slot_wait_ms, c.server_prefill_ms,
  c.server_ttft_ms - c.server_queue_ms - c.server_prefill_ms AS server_other_ms, (t.last_ns - t.first_ns) / 1e6 AS decode_ms,
  c.server_decode_ms, t.e2e_ms, t.tpot_ms, t.decode_tokens_per_s, CASE WHEN t.counted_by IS NOT NULL THEN i.itl[1] END AS itl_p50_ms,
  CASE WHEN t.counted_by IS NOT NULL THEN i.itl[2] END AS itl_p99_ms, i.gap_max_ms,
  len(list_filter(i.long_gaps, lambda x: x > 5 * i.gap_p50_ms)) AS stalls, c.server_preemptions, c.server_requests,
  t.prompt_tokens, t.cached_tokens, t.uncached_tokens, t.completion_tokens, t.reasoning_tokens, t.decode_tokens, t.counted_by,
  t.hit_ratio, c.counter_hit_tokens, x.block_size_tokens, x.block_ideal_tokens, x.block_ideal_tokens / t.prompt_tokens AS block_ideal_ratio,
  x.text_ideal_tokens, x.text_ideal_tokens / t.prompt_tokens AS text_ideal_ratio, x.predicted_tokens,
  coalesce(m.new_text, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_new_text_tokens,
  coalesce(m.changed_text, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_changed_text_tokens,
  coalesce(m.template_rewrote_history, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_template_rewrote_history_tokens,
  coalesce(m.retokenized, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_retokenized_tokens,
  coalesce(m.block_rounding, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_block_rounding_tokens,
  coalesce(m.last_token, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_last_token_tokens,
  coalesce(m.evicted, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_evicted_tokens,
  coalesce(m.slot_taken, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_slot_taken_tokens,
  coalesce(m.host_memory_full, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_host_memory_full_tokens,
  coalesce(m.small_share, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_small_share_tokens,
  coalesce(m.not_restorable, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_not_restorable_tokens,
  coalesce(m.context_shifted, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_context_shifted_tokens,
  coalesce(m.hybrid_state, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_hybrid_state_tokens,
  coalesce(m.isolation, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_isolation_tokens,
  coalesce(m.unknown, CASE WHEN t.cached_tokens = t.prompt_tokens THEN 0 END) AS miss_unknown_tokens,
  e.energy_j, e.idle_energy_j, e.covered_ratio, e.energy_j / nullif(t.completion_tokens, 0) AS energy_per_token_j,
  e.energy_j * 1e3 / nullif(t.e2e_ms * e.covered_ratio, 0) AS power_mean_w, p.peak_memory_bytes,
  l.decode_limit_ms, l.mbu_ratio, l.prefill_limit_ms, l.mfu_ratio, l.times_limit, l.limited_by, l.limits_of, t.request_id
FROM turns t JOIN runs r ON r.run_id = t.run_id
  LEFT JOIN selected_turn_counters c ON c.run_id = t.run_id AND c.turn_id = t.turn_id
  LEFT JOIN selected_turn_limits l ON l.run_id = t.run_id AND l.turn_id = t.turn_id
  LEFT JOIN raw.cache_turn x ON x.run_id = t.run_id AND x.turn_id = t.turn_id
  LEFT JOIN turn_energy e ON e.run_id = t.run_id AND e.turn_id = t.turn_id
  LEFT JOIN session_memory p ON p.run_id = t.run_id AND p.session_id = t.session_id
  LEFT JOIN miss m ON m.run_id = t.run_id AND m.turn_id = t.turn_id
  LEFT JOIN itl i ON i.run_id = t.run_id AND i.turn_id = t.turn_id
WHERE t.run_id IN (SELECT run_id FROM selected_runs);
COMMENT ON VIEW selected_turns_wide IS 'turns_wide of the selected runs; much faster than turns_wide in a history of many runs';

CREATE OR REPLACE VIEW pairs AS
WITH t AS (SELECT * FROM turns WHERE status = 'ok' AND NOT warmup AND NOT repeated)
SELECT b.run AS base_run, h.run AS head_run, b.simulated OR h.simulated AS simulated, b.conversation, b.placement, b.repeat, b.turn,
  b.prompt_tokens AS base_prompt_tokens, h.prompt_tokens AS head_prompt_tokens,
  b.cached_tokens AS base_cached_tokens, h.cached_tokens AS head_cached_tokens, b.hit_ratio AS base_hit_ratio,
  h.hit_ratio AS head_hit_ratio, b.completion_tokens AS base_completion_tokens,
  h.completion_tokens AS head_completion_tokens, b.ttft_ms AS base_ttft_ms, h.ttft_ms AS head_ttft_ms,
  h.ttft_ms / nullif(b.ttft_ms, 0) - 1 AS ttft_change_ratio, b.tpot_ms AS base_tpot_ms, h.tpot_ms AS head_tpot_ms,
  h.tpot_ms / nullif(b.tpot_ms, 0) - 1 AS tpot_change_ratio,
  b.e2e_ms AS base_e2e_ms, h.e2e_ms AS head_e2e_ms, h.e2e_ms / nullif(b.e2e_ms, 0) - 1 AS e2e_change_ratio,
  b.run_id AS base_run_id, h.run_id AS head_run_id, b.turn_id AS base_turn_id, h.turn_id AS head_turn_id
FROM t b JOIN t h ON h.conversation = b.conversation AND h.placement = b.placement AND h.repeat = b.repeat AND h.turn = b.turn
  AND h.run_id <> b.run_id;
COMMENT ON VIEW pairs IS
  'two runs side by side: one row per two turns of the same conversation, placement, repeat and turn; choose the runs with '
  'WHERE base_run = ''…'' AND head_run = ''…''; failed turns and warm-up are left out';
COMMENT ON COLUMN pairs.base_run IS 'name of the run that the other is compared with';
COMMENT ON COLUMN pairs.head_run IS 'name of the run that is compared with it';
COMMENT ON COLUMN pairs.simulated IS 'one of the two was served by the simulator';
COMMENT ON COLUMN pairs.base_prompt_tokens IS 'prompt tokens, base';
COMMENT ON COLUMN pairs.head_prompt_tokens IS 'prompt tokens, head';
COMMENT ON COLUMN pairs.base_cached_tokens IS 'prompt tokens that came from the prefix cache, base';
COMMENT ON COLUMN pairs.head_cached_tokens IS 'prompt tokens that came from the prefix cache, head';
COMMENT ON COLUMN pairs.base_hit_ratio IS 'prefix-cache hit ratio, 0 to 1, base';
COMMENT ON COLUMN pairs.head_hit_ratio IS 'prefix-cache hit ratio, 0 to 1, head';
COMMENT ON COLUMN pairs.base_completion_tokens IS 'completion tokens, base';
COMMENT ON COLUMN pairs.head_completion_tokens IS 'completion tokens, head';
COMMENT ON COLUMN pairs.base_ttft_ms IS 'time to first token, base';
COMMENT ON COLUMN pairs.head_ttft_ms IS 'time to first token, head';
COMMENT ON COLUMN pairs.ttft_change_ratio IS 'head over base, less 1; above 0 is slower';
COMMENT ON COLUMN pairs.base_tpot_ms IS 'time per output token, base';
COMMENT ON COLUMN pairs.head_tpot_ms IS 'time per output token, head';
COMMENT ON COLUMN pairs.tpot_change_ratio IS 'head over base, less 1; above 0 is slower';
COMMENT ON COLUMN pairs.base_e2e_ms IS 'from submit to the end of the response, base';
COMMENT ON COLUMN pairs.head_e2e_ms IS 'from submit to the end of the response, head';
COMMENT ON COLUMN pairs.e2e_change_ratio IS 'head over base, less 1; above 0 is slower';
COMMENT ON COLUMN pairs.base_run_id IS 'id of the run, base';
COMMENT ON COLUMN pairs.head_run_id IS 'id of the run, head';
COMMENT ON COLUMN pairs.base_turn_id IS 'request, base';
COMMENT ON COLUMN pairs.head_turn_id IS 'request, head';
