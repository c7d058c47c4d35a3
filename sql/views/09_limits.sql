-- Views: how fast each turn could have been.

CREATE OR REPLACE MACRO limits_by(counters) AS TABLE -- the definition of turn_limits and selected_turn_limits
-- The roofline (Williams, Waterman, Patterson 2009): a step takes at least the time to move its bytes and at least the time to do its
-- arithmetic. Weights and KV are read once per step. A multiplication and an addition are two FLOP.
-- docs/reference/limits.md has the formulas.
-- Where the processors run the model, their memory gives the limit of decode. Their peak of arithmetic is not known: prefill has no limit.
WITH b AS (
  SELECT h.run_id, h.cpu_model, h.hostname, b.memory_read_bytes_per_s
  FROM raw.host h LEFT JOIN memory_bandwidths b ON b.hostname = h.hostname AND b.cpu_model IS NOT DISTINCT FROM h.cpu_model),
m AS (
  SELECT m.* EXCLUDE (on_cpu), coalesce(m.on_cpu, false) AS on_cpu,
    CASE WHEN m.on_cpu THEN b.memory_read_bytes_per_s ELSE p.memory_bandwidth_bytes_per_s * m.gpus END AS bandwidth,
    CASE WHEN m.on_cpu THEN NULL WHEN m.arithmetic = 'fp8' THEN coalesce(p.fp8_flop_per_s, p.bf16_flop_per_s)
      ELSE p.bf16_flop_per_s END * m.gpus AS flop_per_s,
    CASE WHEN m.on_cpu THEN coalesce(b.cpu_model, b.hostname) || format(': memory, {:.1f} GB/s', b.memory_read_bytes_per_s / 1e9)
      ELSE m.gpu_name END AS device
  FROM raw.model m LEFT JOIN gpu_peaks p USING (gpu_name) LEFT JOIN b ON b.run_id = m.run_id AND m.on_cpu),
t AS (
  SELECT t.run_id, t.turn_id, t.prompt_tokens, t.completion_tokens, t.decode_tokens, t.ttft_ms, t.tpot_ms,
    coalesce(c.server_prefill_ms, t.ttft_ms) AS prefill_ms,
    coalesce(t.cached_tokens, c.counter_hit_tokens) AS cached, t.prompt_tokens + t.completion_tokens / 2.0 AS context,
    -- A step of speculation gives the draft tokens that were accepted and one more.
    -- Where the server's counters do not say, an event is taken as a step.
    CASE WHEN c.draft_tokens_accepted > 0 THEN (t.completion_tokens - 1) / greatest(t.completion_tokens - 1.0 - c.draft_tokens_accepted,
        1)
      WHEN c.server_requests = 1 THEN 1
      WHEN x.streamed_tokens > x.token_events THEN t.decode_tokens / nullif(x.token_events - x.first_read_events, 0)
      ELSE 1 END AS step_tokens
  FROM turns t JOIN raw.turn x USING (run_id, turn_id)
    LEFT JOIN query_table(counters) c ON c.run_id = t.run_id AND c.turn_id = t.turn_id WHERE t.status = 'ok'),
work AS (
  SELECT t.*, m.bandwidth, m.flop_per_s, m.gpu_name, m.on_cpu, m.device, m.source, t.prompt_tokens - t.cached AS uncached,
    (m.decode_weights_bytes + m.kv_layer_bytes * ((m.layers - m.sliding_layers) * context
      + m.sliding_layers * least(context, m.sliding_window_tokens))) / greatest(t.step_tokens, 1) AS decode_bytes,
    2.0 * (m.layer_parameters + m.head_parameters)
      + 4.0 * m.attention_width * ((m.layers - m.sliding_layers) * context
        + m.sliding_layers * least(context, m.sliding_window_tokens)) AS decode_flop,
    least(m.prefill_weights_bytes, m.decode_weights_bytes * (t.prompt_tokens - t.cached))
      + m.kv_layer_bytes * ((m.layers - m.sliding_layers) * t.prompt_tokens
        + m.sliding_layers * least(t.prompt_tokens, m.sliding_window_tokens)) AS prefill_bytes,
    2.0 * m.layer_parameters * (t.prompt_tokens - t.cached) + 2.0 * m.head_parameters
      + 4.0 * m.attention_width * (t.prompt_tokens - t.cached)
      * ((m.layers - m.sliding_layers) * (t.cached + (t.prompt_tokens - t.cached + 1) / 2.0)
        + m.sliding_layers * least(t.cached + (t.prompt_tokens - t.cached + 1) / 2.0, m.sliding_window_tokens)) AS prefill_flop
  FROM t LEFT JOIN m USING (run_id)),
times AS (
  -- greatest() ignores NULL
  SELECT *, CASE WHEN bandwidth + decode_flop IS NOT NULL AND (flop_per_s IS NOT NULL OR on_cpu)
      THEN greatest(decode_bytes / bandwidth, decode_flop / flop_per_s) * 1e3 END AS decode_limit_ms,
    CASE WHEN bandwidth + flop_per_s + prefill_flop IS NOT NULL
      THEN greatest(prefill_bytes / bandwidth, prefill_flop / flop_per_s) * 1e3 END AS prefill_limit_ms,
    decode_tokens * tpot_ms AS decode_ms
  FROM work),
ratios AS (
  -- a ratio above 1 means that a fact is wrong
  SELECT *, greatest(decode_limit_ms / nullif(tpot_ms, 0), decode_bytes / nullif(tpot_ms / 1e3 * bandwidth, 0)) AS decode_of_limit,
    greatest(prefill_limit_ms / nullif(prefill_ms, 0), prefill_flop / nullif(prefill_ms / 1e3 * flop_per_s, 0)) AS prefill_of_limit,
    coalesce(decode_of_limit, 0) > 1.02 AS decode_too_fast, coalesce(prefill_of_limit, 0) > 1.02 AS prefill_too_fast
  FROM times)
SELECT run_id, turn_id, gpu_name, context AS decode_context_tokens, step_tokens, TRY_CAST(decode_bytes AS BIGINT) AS decode_bytes,
  tpot_ms, decode_limit_ms,
  CASE WHEN NOT decode_too_fast THEN decode_bytes / nullif(tpot_ms / 1e3 * bandwidth, 0) END AS mbu_ratio,
  uncached AS prefill_tokens, prefill_flop, prefill_ms, prefill_limit_ms,
  CASE WHEN NOT prefill_too_fast THEN prefill_flop / nullif(prefill_ms / 1e3 * flop_per_s, 0) END AS mfu_ratio,
  prefill_limit_ms + coalesce(decode_tokens * decode_limit_ms, 0) AS turn_limit_ms,
  CASE WHEN NOT decode_too_fast AND NOT prefill_too_fast
    THEN (prefill_ms + coalesce(decode_ms, 0))
      / nullif(prefill_limit_ms + coalesce(decode_tokens * decode_limit_ms, 0), 0) END AS times_limit,
  CASE WHEN decode_too_fast OR prefill_too_fast THEN NULL
    WHEN on_cpu THEN CASE WHEN decode_ms > prefill_ms AND tpot_ms > 3 * decode_limit_ms THEN 'decode: overhead'
      WHEN decode_ms > prefill_ms AND decode_limit_ms IS NOT NULL THEN 'decode: memory bandwidth' END
    WHEN prefill_limit_ms IS NULL THEN NULL
    WHEN coalesce(decode_ms, 0) > prefill_ms THEN 'decode: ' || CASE WHEN tpot_ms > 3 * decode_limit_ms THEN 'overhead'
      WHEN decode_bytes / bandwidth >= decode_flop / flop_per_s THEN 'memory bandwidth' ELSE 'arithmetic' END
    ELSE 'prefill: ' || CASE WHEN prefill_ms > 3 * prefill_limit_ms THEN 'overhead'
      WHEN prefill_bytes / bandwidth >= prefill_flop / flop_per_s THEN 'memory bandwidth' ELSE 'arithmetic' END END AS limited_by,
  CASE WHEN decode_too_fast AND on_cpu
      THEN format('unknown: tokens came in {:.2f} of the time that memory with {:.1f} GB/s needs: '
        'a part of the model stays in the processors'' caches, or the model''s size, the bandwidth or the tokens per step ({:.1f}) '
        'must be wrong', 1 / decode_of_limit, bandwidth / 1e9, step_tokens)
    WHEN decode_too_fast
      THEN format('unknown: tokens came in {:.2f} of the time that {} needs: '
        'the model''s size, the GPU or the tokens per step ({:.1f}) must be wrong',
        1 / decode_of_limit, gpu_name, step_tokens)
    WHEN prefill_too_fast
      THEN format('unknown: prefill took {:.2f} of the time that {} needs: '
        'the model''s size, the GPU or the cached tokens ({}) must be wrong',
        1 / prefill_of_limit, gpu_name, cached)
    WHEN source IS NULL THEN 'unknown: wb does not know the model''s files'
    WHEN on_cpu AND bandwidth IS NULL
      THEN 'unknown: the memory bandwidth of this machine is not measured; run wb calibrate once'
    WHEN on_cpu THEN device
    WHEN gpu_name IS NULL THEN 'unknown: the server''s GPU is not known'
    WHEN bandwidth IS NULL OR flop_per_s IS NULL THEN 'unknown: no peak figures of ' || gpu_name
    WHEN cached IS NULL THEN 'unknown: the server does not report cached tokens'
    ELSE gpu_name END AS limits_of
FROM ratios;

CREATE OR REPLACE VIEW turn_limits AS FROM limits_by('turn_counters');
COMMENT ON VIEW turn_limits IS
  'how fast each turn could have been by its model and its GPU or memory (roofline), and how near it was; NULL where these are not '
  'known';
COMMENT ON COLUMN turn_limits.run_id IS 'run';
COMMENT ON COLUMN turn_limits.turn_id IS 'request';
COMMENT ON COLUMN turn_limits.gpu_name IS
  'GPU product whose peaks give the limits; NULL when the server''s GPU is not known, and where the processors run the model';
COMMENT ON COLUMN turn_limits.decode_context_tokens IS 'mean context of its decode steps: prompt and half of the completion';
COMMENT ON COLUMN turn_limits.step_tokens IS 'tokens that a decode step gives: 1, or more with speculation';
COMMENT ON COLUMN turn_limits.decode_bytes IS 'bytes to be read for a token: weights and the KV cache of that context, over step_tokens';
COMMENT ON COLUMN turn_limits.tpot_ms IS 'measured time per output token after the first read';
COMMENT ON COLUMN turn_limits.decode_limit_ms IS 'shortest time for a token';
COMMENT ON COLUMN turn_limits.mbu_ratio IS
  'model bandwidth utilisation: decode_bytes over time per token and peak bandwidth, 0 to 1; NULL where it would be above 1.02, and '
  'limits_of then says why';
COMMENT ON COLUMN turn_limits.prefill_tokens IS 'prompt tokens that were not cached';
COMMENT ON COLUMN turn_limits.prefill_flop IS 'arithmetic needed to compute them';
COMMENT ON COLUMN turn_limits.prefill_ms IS 'measured time of prefill: by the server where it reports it, else TTFT';
COMMENT ON COLUMN turn_limits.prefill_limit_ms IS
  'shortest time of that prefill; NULL where the processors run the model, because their peak of arithmetic is not known';
COMMENT ON COLUMN turn_limits.mfu_ratio IS
  'model FLOP utilisation: prefill_flop over prefill time and peak arithmetic, 0 to 1; NULL where it would be above 1.02';
COMMENT ON COLUMN turn_limits.turn_limit_ms IS 'shortest time of prefill, and of decoding the tokens that came after the first read';
COMMENT ON COLUMN turn_limits.times_limit IS 'time of prefill and decode over the shortest possible time';
COMMENT ON COLUMN turn_limits.limited_by IS
  'which part of the turn took longer, and what limited it: memory bandwidth, arithmetic, or overhead (it took more than three times '
  'its limit); where the processors run the model, overhead includes arithmetic, and NULL says that prefill took longer';
COMMENT ON COLUMN turn_limits.limits_of IS 'GPU or memory whose peaks are used, or why there are no limits, or what must be wrong';

CREATE OR REPLACE VIEW selected_turn_limits AS FROM limits_by('selected_turn_counters');
COMMENT ON VIEW selected_turn_limits IS
  'turn_limits with the counters of the selected runs only; much faster for a query about these in a history of many runs';
