-- Views for people. Definitions live here, so that a correction holds for every run already recorded. Applied again
-- whenever this text changes. A column that has the name of a raw column inherits its comment.
-- TTFT, ITL and TPOT as in the vLLM and MLPerf documentation, but from the client's socket stamps.

CREATE OR REPLACE VIEW runs AS
SELECT run_id, CASE WHEN count(*) OVER (PARTITION BY r.name) > 1 THEN r.name || ' ' || left(run_id::VARCHAR, 8) ELSE r.name END AS run,
  r.name, status, r.error, simulated, started_at, ended_at, date_diff('millisecond', started_at, ended_at) / 1000.0 AS duration_s,
  e.kind AS engine, e.version AS engine_version, e.model, e.block_size_tokens, e.max_model_len_tokens,
  (SELECT string_agg(t.key || '=' || t.value, ' ' ORDER BY t.key, t.value) FROM raw.run_tag t WHERE t.run_id = r.run_id) AS tags,
  r.seed, r.argv, r.wb_version, r.hostname, r.plan_id, r.cell
FROM raw.run r LEFT JOIN raw.engine e USING (run_id);
COMMENT ON VIEW runs IS 'one row per run';
COMMENT ON COLUMN runs.run IS 'name of the run, with the start of its id where two runs share the name';
COMMENT ON COLUMN runs.duration_s IS 'from start to end, wall clock';
COMMENT ON COLUMN runs.engine IS 'vllm, openai or simulator';
COMMENT ON COLUMN runs.engine_version IS 'version the server told';
COMMENT ON COLUMN runs.tags IS 'tags as key=value, in key order';

CREATE OR REPLACE VIEW selected_runs AS
SELECT * FROM runs
WHERE CASE WHEN getvariable('runs') IS NULL
  THEN run_id = (SELECT run_id FROM raw.run ORDER BY started_at DESC, run_id LIMIT 1)
  ELSE list_contains(getvariable('runs')::VARCHAR[], run_id::VARCHAR) END;
COMMENT ON VIEW selected_runs IS 'the runs a query is about: SET VARIABLE runs = [''<run id>'', …]; the latest run when unset';

CREATE OR REPLACE VIEW session_starts AS -- runs of an older wb have the first turn's usage only
SELECT s.run_id, s.session_id, coalesce(s.first_cached_tokens, t.cached_tokens) AS first_cached_tokens,
  coalesce(s.first_cached_tokens, t.cached_tokens) > least(64, t.prompt_tokens // 2) AS began_warm
FROM raw.session s LEFT JOIN (
  SELECT run_id, session_id, cached_tokens, prompt_tokens FROM raw.turn
  WHERE turn = 1 AND status = 'ok' AND prompt_tokens BETWEEN 1 AND 16777216
    AND (cached_tokens IS NULL OR cached_tokens BETWEEN 0 AND prompt_tokens)) t USING (run_id, session_id);
COMMENT ON VIEW session_starts IS 'how the server''s prefix cache stood to each session when it began';
COMMENT ON COLUMN session_starts.began_warm IS
  'its first prompt was in the cache: more than 64 tokens of it, or than half, which is more than the beginning of a chat template that '
  'all prompts share; NULL where cached tokens are not told';

CREATE OR REPLACE VIEW sessions AS
SELECT s.run_id, r.run, r.simulated, s.session_id, s.conversation, s.conversation_sha256, s.variant, s.repeat, s.warmup, s.isolation,
  x.first_cached_tokens, x.began_warm, s.client_user, s.start_id, s.status,
  s.started_ns, s.ended_ns, r.started_at + to_microseconds(s.started_ns // 1000) AS wall_time, (s.ended_ns - s.started_ns) / 1e9 AS duration_s
FROM raw.session s JOIN runs r USING (run_id) JOIN session_starts x USING (run_id, session_id);
COMMENT ON VIEW sessions IS 'one row per pass through a conversation';
COMMENT ON COLUMN sessions.run IS 'name of the run';
COMMENT ON COLUMN sessions.began_warm IS 'its first prompt was in the prefix cache; NULL where cached tokens are not told';
COMMENT ON COLUMN sessions.wall_time IS 'start, wall clock, UTC';
COMMENT ON COLUMN sessions.duration_s IS 'from start to end';

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
  ('spec_decode_accepted', 'vllm:spec_decode_num_accepted_tokens_total'), ('spec_decode_accepted', 'vllm:spec_decode_num_accepted_tokens'),
  ('preemptions', 'vllm:num_preemptions_total'), ('preemptions', 'vllm:num_preemptions')) AS t(metric, name);
COMMENT ON VIEW metric_names IS 'names that a metric has had over vLLM''s releases';
COMMENT ON COLUMN metric_names.metric IS 'what is measured';
COMMENT ON COLUMN metric_names.name IS 'name in /metrics; a histogram''s series add _sum, _count or _bucket';

-- Of turn_counters and selected_turn_counters.
-- A window keeps DuckDB from reading only the runs that are asked for, so the choice stands inside.
CREATE OR REPLACE MACRO counters_of(chosen) AS TABLE
WITH named AS (
  SELECT s.run_id, s.turn_id, s.phase, s.scrape_id, m.name, sum(m.value) AS value -- over the label sets
  FROM raw.scrape s JOIN raw.engine_metric m USING (run_id, scrape_id)
  WHERE s.phase IN ('before', 'after') AND s.turn_id IS NOT NULL AND m.value BETWEEN -9e15 AND 9e15 -- a server may say NaN, or what no counter can be
    -- IN would be a join like that with metric_names, and be taken before that with the runs
    AND list_contains(['vllm:prefix_cache_queries_total', 'vllm:prefix_cache_queries',
      'vllm:gpu_prefix_cache_queries_total', 'vllm:gpu_prefix_cache_queries',
      'vllm:prefix_cache_hits_total', 'vllm:prefix_cache_hits', 'vllm:gpu_prefix_cache_hits_total', 'vllm:gpu_prefix_cache_hits',
      'vllm:external_prefix_cache_hits_total', 'vllm:external_prefix_cache_hits', 'vllm:num_preemptions_total', 'vllm:num_preemptions',
      'vllm:spec_decode_num_accepted_tokens_total', 'vllm:spec_decode_num_accepted_tokens',
      'vllm:request_queue_time_seconds_sum', 'vllm:request_queue_time_seconds_count',
      'vllm:request_prefill_time_seconds_sum', 'vllm:request_decode_time_seconds_sum', 'vllm:time_to_first_token_seconds_sum'], m.name)
    AND s.run_id IN (SELECT run_id FROM query_table(chosen)) AND m.run_id IN (SELECT run_id FROM query_table(chosen))
  GROUP BY ALL),
series AS ( -- a release that shows an old and a new name gives both the same value: it counts once
  SELECT run_id, turn_id, phase, scrape_id,
    max(value) FILTER (WHERE metric = 'prefix_cache_queries') AS queries,
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
edges AS (SELECT * FROM series QUALIFY row_number() OVER (PARTITION BY run_id, turn_id, phase ORDER BY scrape_id DESC) = 1)
SELECT a.run_id, a.turn_id,
  CASE WHEN a.queries >= b.queries AND a.hits >= b.hits THEN (a.queries - b.queries)::BIGINT END AS counter_query_tokens,
  CASE WHEN a.queries >= b.queries AND a.hits >= b.hits
    THEN (a.hits - b.hits + coalesce(greatest(a.external_hits - b.external_hits, 0), 0))::BIGINT END AS counter_hit_tokens,
  CASE WHEN a.external_hits >= b.external_hits THEN (a.external_hits - b.external_hits)::BIGINT END AS counter_external_hit_tokens,
  CASE WHEN a.requests = b.requests + 1 AND a.accepted >= b.accepted THEN (a.accepted - b.accepted)::BIGINT END AS draft_tokens_accepted,
  CASE WHEN a.requests >= b.requests THEN (a.requests - b.requests)::BIGINT END AS server_requests,
  CASE WHEN a.requests = b.requests + 1 THEN (a.queue_s - b.queue_s) * 1e3 END AS server_queue_ms,
  CASE WHEN a.requests = b.requests + 1 THEN (a.prefill_s - b.prefill_s) * 1e3 END AS server_prefill_ms,
  CASE WHEN a.requests = b.requests + 1 THEN (a.decode_s - b.decode_s) * 1e3 END AS server_decode_ms,
  CASE WHEN a.requests = b.requests + 1 THEN (a.ttft_s - b.ttft_s) * 1e3 END AS server_ttft_ms,
  CASE WHEN a.preemptions >= b.preemptions THEN (a.preemptions - b.preemptions)::BIGINT END AS server_preemptions
FROM edges a JOIN edges b ON a.run_id = b.run_id AND a.turn_id = b.turn_id AND a.phase = 'after' AND b.phase = 'before';

CREATE OR REPLACE VIEW turn_counters AS FROM counters_of('runs');
COMMENT ON VIEW turn_counters IS 'how the server''s counters moved across each turn, exact when nobody else used the server; a restart in between gives NULL';
COMMENT ON COLUMN turn_counters.counter_query_tokens IS 'prompt tokens looked up in the prefix cache (prefix_cache_queries)';
COMMENT ON COLUMN turn_counters.counter_hit_tokens IS
  'prompt tokens found there (prefix_cache_hits) or brought back from another tier (external_prefix_cache_hits), as the usage counts '
  'them';
COMMENT ON COLUMN turn_counters.counter_external_hit_tokens IS
  'of these, brought back from another tier: host memory, disk, another machine; NULL where the server has none';
COMMENT ON COLUMN turn_counters.draft_tokens_accepted IS
  'tokens of speculation that were accepted: these took no step of their own; NULL where the server does not speculate, or the turn was '
  'not alone';
COMMENT ON COLUMN turn_counters.server_requests IS 'requests the server finished meanwhile; 1 when the turn was alone';
COMMENT ON COLUMN turn_counters.server_queue_ms IS 'time in the server''s queue; NULL unless the turn was alone';
COMMENT ON COLUMN turn_counters.server_prefill_ms IS 'prefill time by the server''s clock; NULL unless the turn was alone';
COMMENT ON COLUMN turn_counters.server_decode_ms IS 'decode time by the server''s clock; NULL unless the turn was alone';
COMMENT ON COLUMN turn_counters.server_ttft_ms IS 'TTFT by the server''s clock; NULL unless the turn was alone';
COMMENT ON COLUMN turn_counters.server_preemptions IS 'preemptions meanwhile';

CREATE OR REPLACE VIEW selected_turn_counters AS FROM counters_of('selected_runs');
COMMENT ON VIEW selected_turn_counters IS 'turn_counters of the selected runs; in a history of many runs much faster';

CREATE OR REPLACE VIEW turns AS
WITH counted AS ( -- what a server says of its tokens is believed between bounds only: an older wb recorded whatever it said
  SELECT * REPLACE (CASE WHEN prompt_tokens BETWEEN 1 AND 16777216 THEN prompt_tokens END AS prompt_tokens,
    CASE WHEN prompt_tokens BETWEEN 1 AND 16777216 AND cached_tokens BETWEEN 0 AND prompt_tokens THEN cached_tokens END AS cached_tokens,
    CASE WHEN completion_tokens BETWEEN 0 AND 16777216 THEN completion_tokens END AS completion_tokens,
    CASE WHEN completion_tokens BETWEEN 0 AND 16777216 AND reasoning_tokens BETWEEN 0 AND completion_tokens THEN reasoning_tokens END AS reasoning_tokens)
  FROM raw.turn),
flow AS ( -- tokens that came after the first read, in last_ns - first_ns
  SELECT *, CASE WHEN streamed_tokens IS NOT NULL THEN streamed_tokens - first_read_tokens
      WHEN abs(completion_tokens - token_events) <= greatest(1, completion_tokens // 50) THEN token_events - first_read_events END AS after_tokens,
    CASE WHEN streamed_tokens IS NOT NULL THEN 'tokens' WHEN abs(completion_tokens - token_events) <= greatest(1, completion_tokens // 50) THEN 'events' END AS counted_by
  FROM counted)
SELECT t.run_id, r.run, r.simulated, t.session_id, s.conversation, s.variant, s.repeat, s.warmup, s.status = 'repeated' AS repeated,
  s.isolation, w.began_warm, t.turn_id, t.turn, t.status, t.error,
  t.http_status, t.finish_reason, t.prompt_tokens, t.cached_tokens, t.prompt_tokens - t.cached_tokens AS uncached_tokens,
  t.cached_tokens / nullif(t.prompt_tokens, 0) AS hit_ratio, t.completion_tokens, t.reasoning_tokens, t.max_tokens,
  (t.first_ns - coalesce(t.written_ns, t.submit_ns)) / 1e6 AS ttft_ms,
  (t.first_content_ns - coalesce(t.written_ns, t.submit_ns)) / 1e6 AS first_content_ms,
  CASE WHEN t.after_tokens > 0 AND t.last_ns > t.first_ns THEN t.after_tokens END AS decode_tokens, t.counted_by,
  CASE WHEN t.after_tokens > 0 AND t.last_ns > t.first_ns THEN (t.last_ns - t.first_ns) / 1e6 / t.after_tokens END AS tpot_ms,
  CASE WHEN t.after_tokens > 0 AND t.last_ns > t.first_ns THEN t.after_tokens * 1e9 / (t.last_ns - t.first_ns) END AS decode_tokens_per_s,
  (t.done_ns - t.submit_ns) / 1e6 AS e2e_ms, (t.submit_ns - t.intended_ns) / 1e6 AS wait_ms, (t.first_ns - coalesce(t.intended_ns, t.submit_ns)) / 1e6 AS ttft_with_wait_ms,
  t.messages, t.documents, t.request_bytes, t.connection_reused, t.checks, t.checks_passed, t.prompt_sha256, t.reply_sha256, t.request_id,
  t.intended_ns, t.submit_ns, t.written_ns, t.first_ns, t.last_ns, t.done_ns, s.client_user, r.started_at + to_microseconds(t.submit_ns // 1000) AS wall_time
FROM flow t JOIN runs r USING (run_id) JOIN raw.session s ON s.run_id = t.run_id AND s.session_id = t.session_id
  LEFT JOIN session_starts w ON w.run_id = t.run_id AND w.session_id = t.session_id;
COMMENT ON VIEW turns IS 'one row per request, failed ones and warm-up included';
COMMENT ON COLUMN turns.run IS 'name of the run';
COMMENT ON COLUMN turns.repeated IS 'its session was cut short, and a resumed plan played it again';
COMMENT ON COLUMN turns.began_warm IS 'its session did: the first prompt was in the prefix cache; NULL where cached tokens are not told';
COMMENT ON COLUMN turns.uncached_tokens IS 'prompt tokens the server had to prefill';
COMMENT ON COLUMN turns.hit_ratio IS 'prefix-cache hit ratio: cached over prompt tokens, 0 to 1';
COMMENT ON COLUMN turns.ttft_ms IS 'time to first token: from the request''s last written byte to the read that brought the first token';
COMMENT ON COLUMN turns.first_content_ms IS 'the same to the first content that is not reasoning';
COMMENT ON COLUMN turns.decode_tokens IS 'tokens that came after the first read: those that the time from the first token to the last went to; NULL where that cannot be told';
COMMENT ON COLUMN turns.counted_by IS 'how decode_tokens are counted: tokens (each event says how many it carried), events (one an event, since there are as many events as completion tokens); NULL: an event carries an unknown number';
COMMENT ON COLUMN turns.tpot_ms IS 'time per output token: from the read that brought the first token to the last, over the tokens that came after that read; NULL where those are not known, or all came at once';
COMMENT ON COLUMN turns.decode_tokens_per_s IS 'decode_tokens over the same time';
COMMENT ON COLUMN turns.e2e_ms IS 'from submit to the end of the response';
COMMENT ON COLUMN turns.wait_ms IS 'how long after the time that the rate wanted it was sent; NULL in a closed loop';
COMMENT ON COLUMN turns.ttft_with_wait_ms IS 'time to first token from the intended time, so that waiting is in it; in a closed loop from submit';
COMMENT ON COLUMN turns.wall_time IS 'submit, wall clock, UTC';

CREATE OR REPLACE VIEW measured_turns AS
SELECT t.* FROM turns t WHERE t.status = 'ok' AND NOT t.warmup AND NOT t.repeated AND t.run_id IN (SELECT run_id FROM selected_runs);
COMMENT ON VIEW measured_turns IS 'turns that count in reports: of the selected runs, ended well, not warm-up, not played again by a resumed plan';

CREATE OR REPLACE VIEW visits AS
SELECT t.run_id, coalesce(s.visit, 0) AS visit, min(t.submit_ns) AS from_ns, max(t.done_ns) AS to_ns, count(*) AS turns
FROM raw.turn t JOIN raw.session x ON x.run_id = t.run_id AND x.session_id = t.session_id AND NOT x.warmup AND x.status <> 'repeated'
  ASOF LEFT JOIN (SELECT run_id, t_ns, row_number() OVER (PARTITION BY run_id ORDER BY t_ns) AS visit FROM raw.scrape WHERE phase = 'start') s ON s.run_id = t.run_id AND s.t_ns <= t.submit_ns
GROUP BY ALL;
COMMENT ON VIEW visits IS 'when a run was played: a plan comes to each of its cells several times, and what lies between belongs to others';
COMMENT ON COLUMN visits.visit IS 'number of the visit, by the reading of /metrics that begins it; 0 where the server has none';
COMMENT ON COLUMN visits.from_ns IS 'first turn sent, warm-up left out';
COMMENT ON COLUMN visits.to_ns IS 'last turn ended';
COMMENT ON COLUMN visits.turns IS 'turns, failed ones included';

CREATE OR REPLACE VIEW chunks AS
SELECT c.run_id, c.turn_id, c.seq, c.read_seq, c.t_ns, r.started_at + to_microseconds(c.t_ns // 1000) AS wall_time, c.kind, c.tokens, c.text_bytes, c.read_delay_ns
FROM raw.chunk c JOIN raw.run r USING (run_id);
COMMENT ON VIEW chunks IS 'one row per streamed event';
COMMENT ON COLUMN chunks.wall_time IS 'arrival, wall clock, UTC';

CREATE OR REPLACE VIEW gaps AS
SELECT run_id, turn_id, seq, read_seq, t_ns, tokens, gap_ns / 1e6 AS gap_ms, CASE WHEN gap_ns > 0 THEN read_tokens::INTEGER END AS read_tokens, CASE WHEN gap_ns > 0 THEN gap_ns / 1e6 / read_tokens END AS itl_ms
FROM (SELECT *, t_ns - lag(t_ns) OVER (same ORDER BY t_ns, seq) AS gap_ns, sum(coalesce(tokens, 1)) OVER (same ORDER BY t_ns RANGE BETWEEN CURRENT ROW AND CURRENT ROW) AS read_tokens -- events of one read have one time
  FROM (SELECT * REPLACE (CASE WHEN tokens <= 65536 THEN tokens END AS tokens) FROM raw.chunk) WHERE tokens > 0 OR (tokens IS NULL AND kind IN ('content', 'reasoning', 'tool')) WINDOW same AS (PARTITION BY run_id, turn_id))
WHERE gap_ns IS NOT NULL;
COMMENT ON VIEW gaps IS 'time between one event that carried tokens and the one before it in the same turn; the first has none';
COMMENT ON COLUMN gaps.gap_ms IS 'time since the event before; 0 when both came with one read';
COMMENT ON COLUMN gaps.read_tokens IS 'tokens that the read brought, one an event where those do not say (tokens is NULL); in one row of each read, NULL in its others and in the first read';
COMMENT ON COLUMN gaps.itl_ms IS 'inter-token latency: the time since the read before, over read_tokens';

CREATE OR REPLACE VIEW selected_gaps AS -- a window keeps DuckDB from reading only the runs that are asked for, so the choice stands inside
SELECT run_id, turn_id, seq, read_seq, t_ns, tokens, gap_ns / 1e6 AS gap_ms, CASE WHEN gap_ns > 0 THEN read_tokens::INTEGER END AS read_tokens, CASE WHEN gap_ns > 0 THEN gap_ns / 1e6 / read_tokens END AS itl_ms
FROM (SELECT *, t_ns - lag(t_ns) OVER (same ORDER BY t_ns, seq) AS gap_ns, sum(coalesce(tokens, 1)) OVER (same ORDER BY t_ns RANGE BETWEEN CURRENT ROW AND CURRENT ROW) AS read_tokens -- events of one read have one time
  FROM (SELECT * REPLACE (CASE WHEN tokens <= 65536 THEN tokens END AS tokens) FROM raw.chunk WHERE run_id IN (SELECT run_id FROM selected_runs)) WHERE tokens > 0 OR (tokens IS NULL AND kind IN ('content', 'reasoning', 'tool')) WINDOW same AS (PARTITION BY run_id, turn_id))
WHERE gap_ns IS NOT NULL;
COMMENT ON VIEW selected_gaps IS 'the gaps of the selected runs; in a history of many runs much faster than gaps';

CREATE OR REPLACE VIEW engine_metrics AS
SELECT m.run_id, m.scrape_id, s.turn_id, s.phase, m.t_ns, r.started_at + to_microseconds(m.t_ns // 1000) AS wall_time, m.name, m.labels, m.value
FROM raw.engine_metric m JOIN raw.scrape s ON s.run_id = m.run_id AND s.scrape_id = m.scrape_id JOIN raw.run r ON r.run_id = m.run_id;
COMMENT ON VIEW engine_metrics IS 'every series of every scrape of /metrics';
COMMENT ON COLUMN engine_metrics.wall_time IS 'time of the scrape, wall clock, UTC';

CREATE OR REPLACE VIEW gpu AS
SELECT g.run_id, r.run, g.t_ns, g.t_ns / 1e9 AS elapsed_s, r.started_at + to_microseconds(g.t_ns // 1000) AS wall_time, g.* EXCLUDE (run_id, t_ns)
FROM raw.gpu_sample g JOIN runs r USING (run_id);
COMMENT ON VIEW gpu IS 'GPU readings over time';
COMMENT ON COLUMN gpu.run IS 'name of the run';
COMMENT ON COLUMN gpu.elapsed_s IS 'seconds since run start';
COMMENT ON COLUMN gpu.wall_time IS 'wall clock, UTC';

CREATE OR REPLACE VIEW host AS
SELECT h.run_id, r.run, h.t_ns, h.t_ns / 1e9 AS elapsed_s, r.started_at + to_microseconds(h.t_ns // 1000) AS wall_time, h.* EXCLUDE (run_id, t_ns)
FROM raw.host_sample h JOIN runs r USING (run_id);
COMMENT ON VIEW host IS 'host readings over time';
COMMENT ON COLUMN host.run IS 'name of the run';
COMMENT ON COLUMN host.elapsed_s IS 'seconds since run start';
COMMENT ON COLUMN host.wall_time IS 'wall clock, UTC';

CREATE OR REPLACE VIEW processes AS
SELECT p.run_id, r.run, p.t_ns, p.t_ns / 1e9 AS elapsed_s, r.started_at + to_microseconds(p.t_ns // 1000) AS wall_time, p.* EXCLUDE (run_id, t_ns),
  (p.cpu_s - lag(p.cpu_s) OVER w) * 1e9 / nullif(p.t_ns - lag(p.t_ns) OVER w, 0) AS cpu_cores
FROM raw.process_sample p JOIN runs r USING (run_id)
WINDOW w AS (PARTITION BY p.run_id, p.pid ORDER BY p.t_ns);
COMMENT ON VIEW processes IS 'readings of wb and of the server''s processes over time';
COMMENT ON COLUMN processes.run IS 'name of the run';
COMMENT ON COLUMN processes.elapsed_s IS 'seconds since run start';
COMMENT ON COLUMN processes.wall_time IS 'wall clock, UTC';
COMMENT ON COLUMN processes.cpu_cores IS 'CPU time over wall time since the last reading: 1 is one core kept busy';

CREATE OR REPLACE VIEW energy AS
SELECT run_id, gpu, prev_ns AS from_ns, t_ns AS to_ns, (energy_mj - prev_mj) / 1e3 AS energy_j
FROM (SELECT run_id, gpu, t_ns, energy_mj, lag(t_ns) OVER w AS prev_ns, lag(energy_mj) OVER w AS prev_mj
  FROM raw.gpu_sample WHERE energy_mj IS NOT NULL WINDOW w AS (PARTITION BY run_id, gpu ORDER BY t_ns))
WHERE prev_ns IS NOT NULL AND energy_mj >= prev_mj AND t_ns - prev_ns < 30e9; -- a longer time is a pause, as between a plan's visits
COMMENT ON VIEW energy IS 'energy between two readings of the GPU''s counter, which itself moves every 100 ms';
COMMENT ON COLUMN energy.from_ns IS 'earlier reading, ns since run start';
COMMENT ON COLUMN energy.to_ns IS 'later reading, ns since run start';
COMMENT ON COLUMN energy.energy_j IS 'energy between them';

CREATE OR REPLACE VIEW session_energy AS
SELECT s.run_id, s.session_id,
  sum(e.energy_j * (least(e.to_ns, s.ended_ns) - greatest(e.from_ns, s.started_ns)) / (e.to_ns - e.from_ns)) AS energy_j,
  sum(least(e.to_ns, s.ended_ns) - greatest(e.from_ns, s.started_ns)) / nullif((s.ended_ns - s.started_ns) * count(DISTINCT e.gpu), 0) AS covered_ratio
FROM raw.session s JOIN energy e ON e.run_id = s.run_id AND e.to_ns > s.started_ns AND e.from_ns < s.ended_ns
GROUP BY s.run_id, s.session_id, s.started_ns, s.ended_ns;
COMMENT ON VIEW session_energy IS 'energy of all GPUs during each session, approximate: readings that straddle its ends count in proportion to time';
COMMENT ON COLUMN session_energy.energy_j IS 'energy, joules';
COMMENT ON COLUMN session_energy.covered_ratio IS 'share of the session that readings cover, 0 to 1';

CREATE OR REPLACE VIEW idle_power AS
SELECT run_id, sum(power_w) AS idle_power_w FROM (SELECT run_id, gpu, min(power_w) AS power_w FROM raw.gpu_sample WHERE power_w > 0 GROUP BY ALL) GROUP BY run_id;
COMMENT ON VIEW idle_power IS 'what the GPUs of a run take when nothing is asked of them, as near as the run shows it';
COMMENT ON COLUMN idle_power.idle_power_w IS 'lowest power reading of each GPU, added up';

CREATE OR REPLACE VIEW turn_energy AS
SELECT t.run_id, t.turn_id,
  sum(e.energy_j * (least(e.to_ns, t.done_ns) - greatest(e.from_ns, t.submit_ns)) / (e.to_ns - e.from_ns)) AS energy_j,
  any_value(i.idle_power_w) * (t.done_ns - t.submit_ns) / 1e9 AS idle_energy_j,
  sum(least(e.to_ns, t.done_ns) - greatest(e.from_ns, t.submit_ns)) / nullif((t.done_ns - t.submit_ns) * count(DISTINCT e.gpu), 0) AS covered_ratio
FROM raw.turn t JOIN energy e ON e.run_id = t.run_id AND e.to_ns > t.submit_ns AND e.from_ns < t.done_ns LEFT JOIN idle_power i ON i.run_id = t.run_id
GROUP BY t.run_id, t.turn_id, t.submit_ns, t.done_ns;
COMMENT ON VIEW turn_energy IS 'energy of all GPUs during each turn, approximate: the counter is read about twice a second, and readings that straddle a turn''s ends count in proportion to time';
COMMENT ON COLUMN turn_energy.energy_j IS 'energy, joules';
COMMENT ON COLUMN turn_energy.idle_energy_j IS 'of it, what the GPUs take anyway: the lowest power reading of the run over the turn''s time';
COMMENT ON COLUMN turn_energy.covered_ratio IS 'share of the turn that readings cover, 0 to 1';

CREATE OR REPLACE VIEW session_memory AS
WITH gpus AS (
  SELECT run_id, session_id, sum(peak)::BIGINT AS gpu_peak_bytes FROM (
    SELECT s.run_id, s.session_id, g.gpu, max(g.memory_used_bytes) AS peak FROM raw.session s JOIN raw.gpu_sample g ON g.run_id = s.run_id AND g.t_ns BETWEEN s.started_ns AND s.ended_ns WHERE g.memory_used_bytes > 0 GROUP BY ALL) GROUP BY ALL),
processes AS (
  SELECT run_id, session_id, sum(peak)::BIGINT AS engine_peak_bytes FROM (
    SELECT s.run_id, s.session_id, p.pid, max(p.rss_bytes) AS peak FROM raw.session s JOIN raw.process_sample p ON p.run_id = s.run_id AND p.t_ns BETWEEN s.started_ns AND s.ended_ns WHERE p.role = 'engine' GROUP BY ALL) GROUP BY ALL)
SELECT run_id, session_id, gpu_peak_bytes, engine_peak_bytes, coalesce(gpu_peak_bytes, engine_peak_bytes) AS peak_memory_bytes FROM gpus FULL JOIN processes USING (run_id, session_id);
COMMENT ON VIEW session_memory IS 'highest memory readings during each session';
COMMENT ON COLUMN session_memory.gpu_peak_bytes IS 'device memory in use, the peaks of all GPUs together';
COMMENT ON COLUMN session_memory.engine_peak_bytes IS 'resident memory of the server''s processes, their peaks together';
COMMENT ON COLUMN session_memory.peak_memory_bytes IS 'the GPUs'' where there are any, else the processes''';

CREATE OR REPLACE VIEW events AS
SELECT e.run_id, r.run, e.t_ns, r.started_at + to_microseconds(e.t_ns // 1000) AS wall_time, e.kind, e.source, e.turn_id, e.message
FROM raw.event e JOIN runs r USING (run_id);
COMMENT ON VIEW events IS 'things a reader of a run must know';
COMMENT ON COLUMN events.run IS 'name of the run';
COMMENT ON COLUMN events.wall_time IS 'wall clock, UTC';

CREATE OR REPLACE VIEW messages AS
SELECT sha256, any_value(role) AS role, max(content) AS content, max(reasoning) AS reasoning, max(content_bytes) AS content_bytes FROM raw.message GROUP BY sha256;
COMMENT ON VIEW messages IS 'texts by hash';

CREATE OR REPLACE VIEW prompts AS
SELECT t.run_id, t.turn_id, t.position, m.role, m.content, m.content_bytes, t.sha256 FROM raw.turn_message t LEFT JOIN messages m USING (sha256);
COMMENT ON VIEW prompts IS 'the messages of each turn''s prompt, in order';

CREATE OR REPLACE VIEW settings AS
SELECT s.run_id, r.run, s.source, s.name, s.value FROM raw.setting s JOIN runs r USING (run_id);
COMMENT ON VIEW settings IS 'everything chosen or found that could explain a difference between two runs';
COMMENT ON COLUMN settings.run IS 'name of the run';

CREATE OR REPLACE VIEW server_starts AS
WITH ends AS (SELECT run_id, start_id, phase, t_ns, (lead(t_ns) OVER (PARTITION BY run_id, start_id ORDER BY t_ns, phase) - t_ns) / 1e9 AS lasted_s FROM raw.engine_phase),
times AS (
  SELECT run_id, start_id, min(t_ns) FILTER (WHERE phase = 'spawned') AS spawned_ns, min(t_ns) FILTER (WHERE phase = 'ready') AS ready_ns,
    min(t_ns) FILTER (WHERE phase = 'stopping') AS stopping_ns, min(t_ns) FILTER (WHERE phase = 'exited') AS exited_ns, min(t_ns) FILTER (WHERE phase = 'released') AS released_ns,
    sum(lasted_s) FILTER (WHERE phase IN ('spawned', 'importing')) AS import_s, sum(lasted_s) FILTER (WHERE phase = 'engine') AS engine_s,
    sum(lasted_s) FILTER (WHERE phase = 'loading') AS load_s, sum(lasted_s) FILTER (WHERE phase = 'compiling') AS compile_phase_s,
    sum(lasted_s) FILTER (WHERE phase = 'profiling') AS profile_s, sum(lasted_s) FILTER (WHERE phase = 'capturing') AS capture_s,
    sum(lasted_s) FILTER (WHERE phase = 'warming') AS warm_s
  FROM ends GROUP BY ALL),
firsts AS (
  SELECT s.run_id, s.start_id, min(t.first_ns) AS first_ns, arg_min((t.first_ns - coalesce(t.written_ns, t.submit_ns)) / 1e6, t.submit_ns) AS first_ttft_ms,
    string_agg(DISTINCT s.conversation, ' ') AS conversations
  FROM raw.session s JOIN raw.turn t USING (run_id, session_id) WHERE s.start_id IS NOT NULL AND t.status = 'ok' GROUP BY ALL)
SELECT e.run_id, r.run, r.simulated, e.start_id, f.conversations, e.status, e.error, (t.ready_ns - t.spawned_ns) / 1e9 AS startup_s,
  t.import_s, t.engine_s, t.load_s, t.compile_phase_s, t.profile_s, t.capture_s, t.warm_s,
  (f.first_ns - t.spawned_ns) / 1e9 AS first_token_s, f.first_ttft_ms, (t.exited_ns - t.stopping_ns) / 1e9 AS stop_s, (t.released_ns - t.exited_ns) / 1e9 AS release_s,
  e.kv_cache_size_tokens, e.kv_cache_bytes, e.weights_bytes, e.graph_bytes, e.weights_load_s, e.compile_s, e.pid, e.log_path, e.command
FROM raw.engine_start e JOIN runs r USING (run_id) LEFT JOIN times t USING (run_id, start_id) LEFT JOIN firsts f USING (run_id, start_id);
COMMENT ON VIEW server_starts IS 'one row per server process that wb started: how long it took, and until when';
COMMENT ON COLUMN server_starts.run IS 'name of the run';
COMMENT ON COLUMN server_starts.conversations IS 'what it served';
COMMENT ON COLUMN server_starts.startup_s IS 'from the process''s start until /health answered';
COMMENT ON COLUMN server_starts.import_s IS 'Python loading its libraries';
COMMENT ON COLUMN server_starts.engine_s IS 'reading the configuration, starting the engine';
COMMENT ON COLUMN server_starts.load_s IS 'loading weights, until the next phase';
COMMENT ON COLUMN server_starts.compile_phase_s IS 'compiling, until the next phase';
COMMENT ON COLUMN server_starts.profile_s IS 'measuring memory and setting up the KV cache, warming included where the log does not part them';
COMMENT ON COLUMN server_starts.capture_s IS 'capturing CUDA graphs';
COMMENT ON COLUMN server_starts.warm_s IS 'from the finished engine until /health answered';
COMMENT ON COLUMN server_starts.first_token_s IS 'from the process''s start to the first token of its first request, warm-up included';
COMMENT ON COLUMN server_starts.first_ttft_ms IS 'TTFT of its first request, warm-up included';
COMMENT ON COLUMN server_starts.stop_s IS 'from the word to stop until its last process was gone';
COMMENT ON COLUMN server_starts.release_s IS 'from then until its GPU memory was free';

CREATE OR REPLACE VIEW cache_turns AS
SELECT t.run_id, t.run, t.simulated, t.session_id, t.conversation, t.variant, t.repeat, t.warmup, t.repeated, t.isolation, t.turn_id, t.turn, t.documents, t.prompt_tokens, t.cached_tokens,
  c.block_size_tokens, c.common_tokens, c.block_ideal_tokens, c.text_ideal_tokens, c.predicted_tokens, t.cached_tokens = c.predicted_tokens AS as_predicted,
  t.cached_tokens / nullif(t.prompt_tokens, 0) AS hit_ratio, c.block_ideal_tokens / nullif(t.prompt_tokens, 0) AS block_ideal_ratio, c.text_ideal_tokens / nullif(t.prompt_tokens, 0) AS text_ideal_ratio,
  c.divergence_message, c.divergence_role, c.divergence_character, c.divergence_token, c.divergence_reference, c.divergence_before, c.divergence_now, t.status, t.wall_time
FROM turns t JOIN raw.cache_turn c USING (run_id, turn_id);
COMMENT ON VIEW cache_turns IS 'what the prefix cache did for each request and what it could have done';
COMMENT ON COLUMN cache_turns.run IS 'name of the run';
COMMENT ON COLUMN cache_turns.repeated IS 'its session was cut short, and a resumed plan played it again';
COMMENT ON COLUMN cache_turns.hit_ratio IS 'achieved: cached over prompt tokens, 0 to 1';
COMMENT ON COLUMN cache_turns.block_ideal_ratio IS 'what whole blocks allow, 0 to 1';
COMMENT ON COLUMN cache_turns.text_ideal_ratio IS 'what equal text would allow, 0 to 1';
COMMENT ON COLUMN cache_turns.as_predicted IS 'the server hit what the model of its cache predicts';
COMMENT ON COLUMN cache_turns.wall_time IS 'submit, wall clock, UTC';

CREATE OR REPLACE VIEW cache_misses AS
SELECT t.run_id, t.run, t.simulated, t.session_id, t.conversation, t.variant, t.repeat, t.warmup, t.repeated, t.turn_id, t.turn, t.status, m.cause, m.tokens
FROM turns t JOIN raw.cache_miss m USING (run_id, turn_id);
COMMENT ON VIEW cache_misses IS 'why prompt tokens had to be computed, by request and cause';
COMMENT ON COLUMN cache_misses.run IS 'name of the run';
COMMENT ON COLUMN cache_misses.repeated IS 'its session was cut short, and a resumed plan played it again';

CREATE OR REPLACE MACRO limits_by(counters) AS TABLE -- of turn_limits and selected_turn_limits
-- The roofline (Williams, Waterman, Patterson 2009): a step takes at least the time to move its bytes and at least the time to do its arithmetic. Weights
-- and KV are read once a step; a multiplication and an addition are two FLOP. docs/limits.md has the formulas.
WITH m AS (
  SELECT m.*, p.memory_bandwidth_bytes_per_s * m.gpus AS bandwidth, CASE WHEN m.arithmetic = 'fp8' THEN coalesce(p.fp8_flop_per_s, p.bf16_flop_per_s) ELSE p.bf16_flop_per_s END * m.gpus AS flop_per_s
  FROM raw.model m LEFT JOIN gpu_peaks p USING (gpu_name)),
t AS (
  SELECT t.run_id, t.turn_id, t.prompt_tokens, t.completion_tokens, t.decode_tokens, t.ttft_ms, t.tpot_ms, coalesce(c.server_prefill_ms, t.ttft_ms) AS prefill_ms,
    coalesce(t.cached_tokens, c.counter_hit_tokens) AS cached, t.prompt_tokens + t.completion_tokens / 2.0 AS context,
    -- A step of speculation yields the draft tokens that were accepted and one more.
    -- Where the server's counters do not tell, an event is taken for a step.
    CASE WHEN c.draft_tokens_accepted > 0 THEN (t.completion_tokens - 1) / greatest(t.completion_tokens - 1.0 - c.draft_tokens_accepted, 1)
      WHEN c.server_requests = 1 THEN 1
      WHEN x.streamed_tokens > x.token_events THEN t.decode_tokens / nullif(x.token_events - x.first_read_events, 0)
      ELSE 1 END AS step_tokens
  FROM turns t JOIN raw.turn x USING (run_id, turn_id)
    LEFT JOIN query_table(counters) c ON c.run_id = t.run_id AND c.turn_id = t.turn_id WHERE t.status = 'ok'),
work AS (
  SELECT t.*, m.bandwidth, m.flop_per_s, m.gpu_name, m.source, t.prompt_tokens - t.cached AS uncached,
    (m.decode_weights_bytes + m.kv_layer_bytes * ((m.layers - m.sliding_layers) * context
      + m.sliding_layers * least(context, m.sliding_window_tokens))) / greatest(t.step_tokens, 1) AS decode_bytes,
    2.0 * (m.layer_parameters + m.head_parameters) + 4.0 * m.attention_width * ((m.layers - m.sliding_layers) * context + m.sliding_layers * least(context, m.sliding_window_tokens)) AS decode_flop,
    least(m.prefill_weights_bytes, m.decode_weights_bytes * (t.prompt_tokens - t.cached)) + m.kv_layer_bytes * ((m.layers - m.sliding_layers) * t.prompt_tokens + m.sliding_layers * least(t.prompt_tokens, m.sliding_window_tokens)) AS prefill_bytes,
    2.0 * m.layer_parameters * (t.prompt_tokens - t.cached) + 2.0 * m.head_parameters + 4.0 * m.attention_width * (t.prompt_tokens - t.cached)
      * ((m.layers - m.sliding_layers) * (t.cached + (t.prompt_tokens - t.cached + 1) / 2.0) + m.sliding_layers * least(t.cached + (t.prompt_tokens - t.cached + 1) / 2.0, m.sliding_window_tokens)) AS prefill_flop
  FROM t LEFT JOIN m USING (run_id)),
times AS (
  SELECT *, CASE WHEN bandwidth + flop_per_s + decode_flop IS NOT NULL THEN greatest(decode_bytes / bandwidth, decode_flop / flop_per_s) * 1e3 END AS decode_limit_ms, -- greatest() passes over NULL
    CASE WHEN bandwidth + flop_per_s + prefill_flop IS NOT NULL THEN greatest(prefill_bytes / bandwidth, prefill_flop / flop_per_s) * 1e3 END AS prefill_limit_ms,
    decode_tokens * tpot_ms AS decode_ms
  FROM work),
ratios AS (
  -- above 1: a fact is wrong
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
  CASE WHEN prefill_limit_ms IS NULL OR decode_too_fast OR prefill_too_fast THEN NULL
    WHEN coalesce(decode_ms, 0) > prefill_ms THEN 'decode: ' || CASE WHEN tpot_ms > 3 * decode_limit_ms THEN 'overhead' WHEN decode_bytes / bandwidth >= decode_flop / flop_per_s THEN 'memory bandwidth' ELSE 'arithmetic' END
    ELSE 'prefill: ' || CASE WHEN prefill_ms > 3 * prefill_limit_ms THEN 'overhead' WHEN prefill_bytes / bandwidth >= prefill_flop / flop_per_s THEN 'memory bandwidth' ELSE 'arithmetic' END END AS bound,
  CASE WHEN decode_too_fast
      THEN format('unknown: tokens came in {:.2f} of the time that {} needs: '
        'the model''s size, the GPU or the tokens a step ({:.1f}) is not that',
        1 / decode_of_limit, gpu_name, step_tokens)
    WHEN prefill_too_fast
      THEN format('unknown: prefill took {:.2f} of the time that {} needs: '
        'the model''s size, the GPU or the cached tokens ({}) are not that',
        1 / prefill_of_limit, gpu_name, cached)
    WHEN source IS NULL THEN 'unknown: wb does not know the model''s files'
    WHEN gpu_name IS NULL THEN 'unknown: the server''s GPU is not known'
    WHEN bandwidth IS NULL OR flop_per_s IS NULL THEN 'unknown: no peak figures of ' || gpu_name
    WHEN cached IS NULL THEN 'unknown: cached tokens are not told'
    ELSE gpu_name END AS limits_of
FROM ratios;

CREATE OR REPLACE VIEW turn_limits AS FROM limits_by('turn_counters');
COMMENT ON VIEW turn_limits IS 'how fast each turn could have been by its model and GPU (roofline), and how near it came; NULL where the model or the GPU is not known';
COMMENT ON COLUMN turn_limits.decode_context_tokens IS 'mean context of its decode steps: prompt and half of the completion';
COMMENT ON COLUMN turn_limits.step_tokens IS 'tokens a decode step yields: 1, or more with speculation';
COMMENT ON COLUMN turn_limits.decode_bytes IS 'bytes to be read for a token: weights, and the KV cache of that context, over step_tokens';
COMMENT ON COLUMN turn_limits.tpot_ms IS 'time per output token after the first read, as it was';
COMMENT ON COLUMN turn_limits.decode_limit_ms IS 'shortest time for a token';
COMMENT ON COLUMN turn_limits.mbu_ratio IS
  'model bandwidth utilisation: decode_bytes over time per token and peak bandwidth, 0 to 1; NULL where it would be above 1.02, which '
  'limits_of then tells of';
COMMENT ON COLUMN turn_limits.prefill_tokens IS 'prompt tokens that were not cached';
COMMENT ON COLUMN turn_limits.prefill_flop IS 'arithmetic of computing them';
COMMENT ON COLUMN turn_limits.prefill_ms IS 'time of prefill as it was: the server''s own, where it tells, or TTFT';
COMMENT ON COLUMN turn_limits.prefill_limit_ms IS 'shortest time of that prefill';
COMMENT ON COLUMN turn_limits.mfu_ratio IS
  'model FLOP utilisation: that arithmetic over prefill time and peak arithmetic, 0 to 1; NULL likewise';
COMMENT ON COLUMN turn_limits.turn_limit_ms IS 'shortest time of prefill, and of decoding the tokens that came after the first read';
COMMENT ON COLUMN turn_limits.times_limit IS 'the factor lost: time of prefill and decode over the shortest';
COMMENT ON COLUMN turn_limits.bound IS 'which part of the turn took longer, and what held it: memory bandwidth, arithmetic, or overhead (it took more than three times its limit)';
COMMENT ON COLUMN turn_limits.limits_of IS 'GPU whose peaks are used, or why there are none, or what must be wrong';

CREATE OR REPLACE VIEW selected_turn_limits AS FROM limits_by('selected_turn_counters');
COMMENT ON VIEW selected_turn_limits IS
  'turn_limits with the counters of the selected runs only; for a query about these, in a history of many runs much faster';
