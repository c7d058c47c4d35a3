-- Views: servers. Their starts, what their /metrics said, and how their counters changed across each turn.

CREATE OR REPLACE VIEW server_starts AS
WITH ends AS (
  SELECT run_id, start_id, phase, t_ns,
    (lead(t_ns) OVER (PARTITION BY run_id, start_id ORDER BY t_ns, phase) - t_ns) / 1e9 AS lasted_s
  FROM raw.engine_phase),
times AS (
  SELECT run_id, start_id, min(t_ns) FILTER (WHERE phase = 'spawned') AS spawned_ns, min(t_ns) FILTER (WHERE phase = 'ready') AS ready_ns,
    min(t_ns) FILTER (WHERE phase = 'stopping') AS stopping_ns, min(t_ns) FILTER (WHERE phase = 'exited') AS exited_ns,
    min(t_ns) FILTER (WHERE phase = 'released') AS released_ns,
    sum(lasted_s) FILTER (WHERE phase IN ('spawned', 'importing')) AS import_s, sum(lasted_s) FILTER (WHERE phase = 'engine') AS engine_s,
    sum(lasted_s) FILTER (WHERE phase = 'loading') AS load_s, sum(lasted_s) FILTER (WHERE phase = 'compiling') AS compile_phase_s,
    sum(lasted_s) FILTER (WHERE phase = 'profiling') AS profile_s, sum(lasted_s) FILTER (WHERE phase = 'capturing') AS capture_s,
    sum(lasted_s) FILTER (WHERE phase = 'warming') AS warm_s
  FROM ends GROUP BY ALL),
firsts AS (
  SELECT s.run_id, s.start_id, min(t.first_ns) AS first_ns,
    arg_min((t.first_ns - coalesce(t.written_ns, t.submit_ns)) / 1e6, t.submit_ns) AS first_ttft_ms,
    string_agg(DISTINCT s.conversation, ' ') AS conversations
  FROM raw.session s JOIN raw.turn t USING (run_id, session_id) WHERE s.start_id IS NOT NULL AND t.status = 'ok' GROUP BY ALL)
SELECT e.run_id, r.run, r.simulated, e.start_id, f.conversations, e.status, e.error, (t.ready_ns - t.spawned_ns) / 1e9 AS startup_s,
  t.import_s, t.engine_s, t.load_s, t.compile_phase_s, t.profile_s, t.capture_s, t.warm_s,
  (f.first_ns - t.spawned_ns) / 1e9 AS first_token_s, f.first_ttft_ms, (t.exited_ns - t.stopping_ns) / 1e9 AS stop_s,
  (t.released_ns - t.exited_ns) / 1e9 AS release_s,
  e.kv_cache_size_tokens, e.kv_cache_bytes, e.weights_bytes, e.graph_bytes, e.weights_load_s, e.compile_s, e.pid, e.log_path, e.command
FROM raw.engine_start e JOIN runs r USING (run_id) LEFT JOIN times t USING (run_id, start_id) LEFT JOIN firsts f USING (run_id, start_id);
COMMENT ON VIEW server_starts IS 'one row per server process that wb started: how long each phase of its start took';
COMMENT ON COLUMN server_starts.status IS 'ready or failed';
COMMENT ON COLUMN server_starts.error IS 'why it failed, in one line';
COMMENT ON COLUMN server_starts.conversations IS 'what it served';
COMMENT ON COLUMN server_starts.startup_s IS 'from the process''s start until /health answered';
COMMENT ON COLUMN server_starts.import_s IS 'loading libraries, until the log says more';
COMMENT ON COLUMN server_starts.engine_s IS 'reading the configuration, starting the engine';
COMMENT ON COLUMN server_starts.load_s IS 'loading weights, until the next phase';
COMMENT ON COLUMN server_starts.compile_phase_s IS 'compiling, until the next phase';
COMMENT ON COLUMN server_starts.profile_s IS
  'measuring memory and setting up the KV cache, warming included where the log does not separate them';
COMMENT ON COLUMN server_starts.capture_s IS 'capturing CUDA graphs';
COMMENT ON COLUMN server_starts.warm_s IS 'from the finished engine until /health answered';
COMMENT ON COLUMN server_starts.first_token_s IS 'from the process''s start to the first token of its first request, warm-up included';
COMMENT ON COLUMN server_starts.first_ttft_ms IS 'TTFT of its first request, warm-up included';
COMMENT ON COLUMN server_starts.stop_s IS 'from the request to stop until its last process was gone';
COMMENT ON COLUMN server_starts.release_s IS 'from then until its GPU memory was free';

CREATE OR REPLACE VIEW metric_names AS
SELECT * FROM (VALUES
  ('prefix_cache_queries', 'vllm:prefix_cache_queries_total'), ('prefix_cache_queries', 'vllm:prefix_cache_queries'),
  ('prefix_cache_queries', 'vllm:gpu_prefix_cache_queries_total'), ('prefix_cache_queries', 'vllm:gpu_prefix_cache_queries'),
  ('prefix_cache_hits', 'vllm:prefix_cache_hits_total'), ('prefix_cache_hits', 'vllm:prefix_cache_hits'),
  ('prefix_cache_hits', 'vllm:gpu_prefix_cache_hits_total'), ('prefix_cache_hits', 'vllm:gpu_prefix_cache_hits'),
  ('kv_cache_usage_ratio', 'vllm:kv_cache_usage_perc'), ('kv_cache_usage_ratio', 'vllm:gpu_cache_usage_perc'),
  ('inter_token_latency', 'vllm:inter_token_latency_seconds'), ('inter_token_latency', 'vllm:time_per_output_token_seconds'),
  ('request_success', 'vllm:request_success_total'), ('request_success', 'vllm:request_success'),
  ('external_prefix_cache_hits', 'vllm:external_prefix_cache_hits_total'),
  ('external_prefix_cache_hits', 'vllm:external_prefix_cache_hits'),
  ('spec_decode_accepted', 'vllm:spec_decode_num_accepted_tokens_total'),
    ('spec_decode_accepted', 'vllm:spec_decode_num_accepted_tokens'),
  ('preemptions', 'vllm:num_preemptions_total'), ('preemptions', 'vllm:num_preemptions'),
  ('prefix_cache_hits', 'llamacpp:prompt_tokens_cached_total'), ('prefix_cache_misses', 'llamacpp:prompt_tokens_total')) AS t(metric, name);
COMMENT ON VIEW metric_names IS 'names that a metric has had over the releases of vLLM and llama.cpp';
COMMENT ON COLUMN metric_names.metric IS 'what is measured';
COMMENT ON COLUMN metric_names.name IS 'name in /metrics; a histogram''s series add _sum, _count or _bucket';

CREATE OR REPLACE VIEW engine_metrics AS
SELECT m.run_id, m.scrape_id, s.turn_id, s.phase, m.t_ns, r.started_at + to_microseconds(m.t_ns // 1000) AS wall_time, m.name, m.labels,
  m.value
FROM raw.engine_metric m JOIN raw.scrape s ON s.run_id = m.run_id AND s.scrape_id = m.scrape_id JOIN raw.run r ON r.run_id = m.run_id;
COMMENT ON VIEW engine_metrics IS 'every series of every scrape of /metrics';
COMMENT ON COLUMN engine_metrics.wall_time IS 'time of the scrape, wall clock, UTC';

-- This is the definition of turn_counters and selected_turn_counters.
-- A window keeps DuckDB from reading only the runs that are asked for, so the choice of runs is inside.
CREATE OR REPLACE MACRO counters_of(chosen) AS TABLE
WITH named AS (
  SELECT s.run_id, s.turn_id, s.phase, s.scrape_id, m.name, sum(m.value) AS value -- over the label sets
  FROM raw.scrape s JOIN raw.engine_metric m USING (run_id, scrape_id)
  -- a server may report NaN, or a value that no counter can have
  WHERE s.phase IN ('before', 'after') AND s.turn_id IS NOT NULL AND m.value BETWEEN -9e15 AND 9e15
    -- IN would be a join, as with metric_names, and DuckDB would do it before the join with the runs
    AND list_contains(['vllm:prefix_cache_queries_total', 'vllm:prefix_cache_queries',
      'vllm:gpu_prefix_cache_queries_total', 'vllm:gpu_prefix_cache_queries',
      'vllm:prefix_cache_hits_total', 'vllm:prefix_cache_hits', 'vllm:gpu_prefix_cache_hits_total', 'vllm:gpu_prefix_cache_hits',
      'vllm:external_prefix_cache_hits_total', 'vllm:external_prefix_cache_hits', 'vllm:num_preemptions_total', 'vllm:num_preemptions',
      'vllm:spec_decode_num_accepted_tokens_total', 'vllm:spec_decode_num_accepted_tokens',
      'vllm:request_queue_time_seconds_sum', 'vllm:request_queue_time_seconds_count',
      'vllm:request_prefill_time_seconds_sum', 'vllm:request_decode_time_seconds_sum', 'vllm:time_to_first_token_seconds_sum',
      'llamacpp:prompt_tokens_cached_total', 'llamacpp:prompt_tokens_total'], m.name)
    AND s.run_id IN (SELECT run_id FROM query_table(chosen)) AND m.run_id IN (SELECT run_id FROM query_table(chosen))
  GROUP BY ALL),
series AS ( -- a release that has an old and a new name gives both the same value, which counts once
  SELECT run_id, turn_id, phase, scrape_id,
    -- llama.cpp counts the computed tokens instead of all that were looked up
    coalesce(max(value) FILTER (WHERE metric = 'prefix_cache_queries'),
      max(value) FILTER (WHERE metric = 'prefix_cache_misses') + max(value) FILTER (WHERE metric = 'prefix_cache_hits')) AS queries,
    max(value) FILTER (WHERE metric = 'prefix_cache_hits') AS hits,
    max(value) FILTER (WHERE metric = 'external_prefix_cache_hits') AS external_hits,
    max(value) FILTER (WHERE metric = 'spec_decode_accepted') AS accepted,
    max(value) FILTER (WHERE metric = 'vllm:request_queue_time_seconds_sum') AS queue_s,
    max(value) FILTER (WHERE metric = 'vllm:request_queue_time_seconds_count') AS requests,
    max(value) FILTER (WHERE metric = 'vllm:request_prefill_time_seconds_sum') AS prefill_s,
    max(value) FILTER (WHERE metric = 'vllm:request_decode_time_seconds_sum') AS decode_s,
    max(value) FILTER (WHERE metric = 'vllm:time_to_first_token_seconds_sum') AS ttft_s,
    max(value) FILTER (WHERE metric = 'preemptions') AS preemptions
  FROM (SELECT n.*, coalesce(x.metric, n.name) AS metric FROM named n LEFT JOIN metric_names x USING (name)) GROUP BY ALL),
edges AS (SELECT * FROM series QUALIFY row_number() OVER (PARTITION BY run_id, turn_id, phase ORDER BY scrape_id DESC) = 1),
changes AS (
  SELECT a.run_id, a.turn_id,
    CASE WHEN a.queries >= b.queries AND a.hits >= b.hits THEN (a.queries - b.queries)::BIGINT END AS counter_query_tokens,
    CASE WHEN a.queries >= b.queries AND a.hits >= b.hits
      THEN (a.hits - b.hits + coalesce(greatest(a.external_hits - b.external_hits, 0), 0))::BIGINT END AS counter_hit_tokens,
    CASE WHEN a.external_hits >= b.external_hits THEN (a.external_hits - b.external_hits)::BIGINT END AS counter_external_hit_tokens,
    CASE WHEN a.requests = b.requests + 1 AND a.accepted >= b.accepted THEN (a.accepted - b.accepted)::BIGINT END AS accepted,
    CASE WHEN a.requests >= b.requests THEN (a.requests - b.requests)::BIGINT END AS server_requests,
    CASE WHEN a.requests = b.requests + 1 THEN (a.queue_s - b.queue_s) * 1e3 END AS queue_ms,
    CASE WHEN a.requests = b.requests + 1 THEN (a.prefill_s - b.prefill_s) * 1e3 END AS prefill_ms,
    CASE WHEN a.requests = b.requests + 1 THEN (a.decode_s - b.decode_s) * 1e3 END AS decode_ms,
    CASE WHEN a.requests = b.requests + 1 THEN (a.ttft_s - b.ttft_s) * 1e3 END AS server_ttft_ms,
    CASE WHEN a.preemptions >= b.preemptions THEN (a.preemptions - b.preemptions)::BIGINT END AS server_preemptions
  FROM edges a JOIN edges b ON a.run_id = b.run_id AND a.turn_id = b.turn_id AND a.phase = 'after' AND b.phase = 'before'),
said AS ( -- what the server said about the request itself is exact for any number of users
  -- llama.cpp sends its headers when it begins, and they may arrive a little late: what prefill leaves is the most that it waited.
  -- Headers that come with the first event say nothing.
  SELECT s.*, CASE WHEN s.source = 'timings' AND t.headers_ns < t.first_chunk_ns AND t.headers_ns <= t.first_ns - s.prefill_ms * 5e5
    THEN greatest(least(t.headers_ns, t.first_ns - s.prefill_ms * 1e6) - coalesce(t.written_ns, t.submit_ns), 0) / 1e6
    END AS slot_wait_ms
  FROM raw.turn_server s JOIN raw.turn t ON t.run_id = s.run_id AND t.turn_id = s.turn_id
  WHERE s.run_id IN (SELECT run_id FROM query_table(chosen)))
SELECT coalesce(c.run_id, s.run_id) AS run_id, coalesce(c.turn_id, s.turn_id) AS turn_id,
  c.counter_query_tokens, c.counter_hit_tokens, c.counter_external_hit_tokens,
  coalesce(s.draft_tokens_accepted, c.accepted) AS draft_tokens_accepted, c.server_requests,
  coalesce(s.queue_ms, c.queue_ms) AS server_queue_ms, s.slot_wait_ms AS server_slot_wait_ms,
  coalesce(s.prefill_ms, c.prefill_ms) AS server_prefill_ms, coalesce(s.decode_ms, c.decode_ms) AS server_decode_ms, c.server_ttft_ms,
  coalesce(c.server_ttft_ms, coalesce(s.queue_ms, s.slot_wait_ms, c.queue_ms) + coalesce(s.prefill_ms, c.prefill_ms)) AS server_part_ms,
  s.cached_tokens AS server_cached_tokens, s.prefill_tokens AS server_prefill_tokens, s.draft_tokens AS draft_tokens,
  c.server_preemptions, s.source AS server_said
FROM changes c FULL JOIN said s ON s.run_id = c.run_id AND s.turn_id = c.turn_id;

CREATE OR REPLACE VIEW turn_counters AS FROM counters_of('runs');
COMMENT ON VIEW turn_counters IS
  'what the server says about each turn: in its last event, or by how its counters changed across the turn, which is exact if nobody else '
  'used the server; NULL after a restart in between';
COMMENT ON COLUMN turn_counters.run_id IS 'run';
COMMENT ON COLUMN turn_counters.turn_id IS 'request';
COMMENT ON COLUMN turn_counters.counter_query_tokens IS 'prompt tokens looked up in the prefix cache (prefix_cache_queries)';
COMMENT ON COLUMN turn_counters.counter_hit_tokens IS
  'prompt tokens found there (prefix_cache_hits) or brought back from another tier (external_prefix_cache_hits), as the usage counts them';
COMMENT ON COLUMN turn_counters.counter_external_hit_tokens IS
  'how many of them were brought back from another tier: host memory, disk or another machine; NULL where the server has none';
COMMENT ON COLUMN turn_counters.draft_tokens_accepted IS
  'draft tokens of speculation that were accepted: they needed no separate step; NULL where the server does not speculate, or the turn '
  'was not alone and the server does not say';
COMMENT ON COLUMN turn_counters.server_slot_wait_ms IS
  'until llama.cpp began with the request and sent its headers: chat template, tokenizing, queue and the swap of a slot with host memory; '
  'NULL for other servers';
COMMENT ON COLUMN turn_counters.server_cached_tokens IS 'prompt tokens from the cache, as the last event says beside the usage';
COMMENT ON COLUMN turn_counters.server_prefill_tokens IS 'prompt tokens that were computed, as the last event says';
COMMENT ON COLUMN turn_counters.draft_tokens IS 'draft tokens of speculation, as the last event says';
COMMENT ON COLUMN turn_counters.server_said IS
  'member of the last event that the figures of the request come from: timings or metrics; NULL: they come from counters';
COMMENT ON COLUMN turn_counters.server_requests IS 'requests the server finished meanwhile; 1 when the turn was alone';
COMMENT ON COLUMN turn_counters.server_queue_ms IS 'time in the server''s queue; NULL unless the turn was alone or the server says it';
COMMENT ON COLUMN turn_counters.server_prefill_ms IS
  'prefill time by the server''s clock; NULL unless the turn was alone or the server says it';
COMMENT ON COLUMN turn_counters.server_decode_ms IS
  'decode time by the server''s clock; NULL unless the turn was alone or the server says it';
COMMENT ON COLUMN turn_counters.server_ttft_ms IS 'TTFT by the server''s clock; NULL unless the turn was alone';
COMMENT ON COLUMN turn_counters.server_part_ms IS
  'how much of the TTFT the server accounts for: its TTFT, or else its queue or slot wait and its prefill; NULL where one of them is not '
  'known';
COMMENT ON COLUMN turn_counters.server_preemptions IS 'preemptions meanwhile';

CREATE OR REPLACE VIEW selected_turn_counters AS FROM counters_of('selected_runs');
COMMENT ON VIEW selected_turn_counters IS 'turn_counters of the selected runs; much faster in a history of many runs';
