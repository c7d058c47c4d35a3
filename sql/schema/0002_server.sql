-- Servers that wb started: each process with the times of its phases, and which process served a session.

ALTER TABLE raw.session ADD COLUMN start_id INTEGER;
COMMENT ON COLUMN raw.session.start_id IS 'which start of the server served the session; NULL when wb did not start it';
COMMENT ON COLUMN raw.session.isolation IS
  'restart (a separate server process), reset (the prefix cache was emptied before), salt (a separate cache_salt) or none';
COMMENT ON COLUMN raw.setting.source IS
  'plan (asked of wb), server (flags and environment wb started it with), engine (said by the server), cache_config '
  '(vllm:cache_config_info), host, gpu, software or conversation';

CREATE TABLE raw.engine_start (
  run_id UUID, start_id INTEGER, pid BIGINT, status VARCHAR, error VARCHAR, command VARCHAR, log_path VARCHAR, kv_cache_size_tokens BIGINT,
  kv_cache_bytes BIGINT, weights_bytes BIGINT, graph_bytes BIGINT, weights_load_s DOUBLE, compile_s DOUBLE);
COMMENT ON TABLE raw.engine_start IS 'one row per server process that wb started';
COMMENT ON COLUMN raw.engine_start.run_id IS 'run';
COMMENT ON COLUMN raw.engine_start.start_id IS 'number of the start within the run, from 1';
COMMENT ON COLUMN raw.engine_start.pid IS 'process id of its API server';
COMMENT ON COLUMN raw.engine_start.status IS 'ready or failed';
COMMENT ON COLUMN raw.engine_start.error IS 'why it failed, in one line';
COMMENT ON COLUMN raw.engine_start.command IS 'command line, shell-quoted, secrets removed';
COMMENT ON COLUMN raw.engine_start.log_path IS 'file with its output';
COMMENT ON COLUMN raw.engine_start.kv_cache_size_tokens IS 'tokens the KV cache holds, by its log';
COMMENT ON COLUMN raw.engine_start.kv_cache_bytes IS 'memory of the KV cache, by its log';
COMMENT ON COLUMN raw.engine_start.weights_bytes IS 'memory the weights took, by its log';
COMMENT ON COLUMN raw.engine_start.graph_bytes IS 'memory the CUDA graphs took, by its log';
COMMENT ON COLUMN raw.engine_start.weights_load_s IS 'time to load the weights, by its log';
COMMENT ON COLUMN raw.engine_start.compile_s IS 'time torch.compile took, by its log';

CREATE TABLE raw.engine_phase (run_id UUID, start_id INTEGER, phase VARCHAR, t_ns BIGINT);
COMMENT ON TABLE raw.engine_phase IS 'when a server that wb started entered a phase of its life; its log is read every 100 ms';
COMMENT ON COLUMN raw.engine_phase.run_id IS 'run';
COMMENT ON COLUMN raw.engine_phase.start_id IS 'number of the start';
COMMENT ON COLUMN raw.engine_phase.phase IS
  'spawned, importing, engine, loading, compiling, profiling, capturing, warming, ready, stopping, exited or released (its GPU memory '
  'is free)';
COMMENT ON COLUMN raw.engine_phase.t_ns IS 'ns since run start; negative before it';
