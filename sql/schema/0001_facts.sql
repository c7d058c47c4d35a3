-- Raw facts. Only store.Recorder writes them. Definitions are in sql/views.
-- Times named *_ns are nanoseconds on one monotonic clock since run.started_at. NULL means that nobody reported a value; it is never 0.

CREATE SCHEMA IF NOT EXISTS raw;

CREATE TABLE raw.run (
  run_id UUID, name VARCHAR, status VARCHAR, error VARCHAR, started_at TIMESTAMP, ended_at TIMESTAMP, simulated BOOLEAN,
  wb_version VARCHAR, wb_commit VARCHAR, go_version VARCHAR, duckdb_version VARCHAR, argv VARCHAR, seed BIGINT,
  hostname VARCHAR, pid BIGINT, process_started_at TIMESTAMP);
COMMENT ON TABLE raw.run IS 'one row per wb run';
COMMENT ON COLUMN raw.run.run_id IS 'random UUID, unique across machines';
COMMENT ON COLUMN raw.run.name IS 'name given with --name, or made from date and time';
COMMENT ON COLUMN raw.run.status IS 'running, ok, failed or interrupted';
COMMENT ON COLUMN raw.run.error IS 'why the run is not ok, in one line';
COMMENT ON COLUMN raw.run.started_at IS 'wall clock, UTC; zero of every *_ns column of the run';
COMMENT ON COLUMN raw.run.ended_at IS 'wall clock, UTC; NULL while running or when the process died';
COMMENT ON COLUMN raw.run.simulated IS 'true when the server was the simulator: no figure of the run was measured on a model';
COMMENT ON COLUMN raw.run.wb_version IS 'version of wb that recorded the run';
COMMENT ON COLUMN raw.run.wb_commit IS 'git commit of that wb';
COMMENT ON COLUMN raw.run.go_version IS 'Go release wb was built with';
COMMENT ON COLUMN raw.run.duckdb_version IS 'DuckDB engine inside wb';
COMMENT ON COLUMN raw.run.argv IS 'command line, shell-quoted, secrets removed';
COMMENT ON COLUMN raw.run.seed IS 'seed sent with requests and used for every random choice of wb';
COMMENT ON COLUMN raw.run.hostname IS 'machine wb ran on';
COMMENT ON COLUMN raw.run.pid IS 'process id of wb';
COMMENT ON COLUMN raw.run.process_started_at IS 'start of that process, UTC, so that a reused pid is not mistaken for it';

CREATE TABLE raw.run_tag (run_id UUID, key VARCHAR, value VARCHAR);
COMMENT ON TABLE raw.run_tag IS 'labels of a run, from --tag or wb runs tag';
COMMENT ON COLUMN raw.run_tag.run_id IS 'run';
COMMENT ON COLUMN raw.run_tag.key IS 'left of the equals sign';
COMMENT ON COLUMN raw.run_tag.value IS 'right of the equals sign';

CREATE TABLE raw.setting (run_id UUID, source VARCHAR, name VARCHAR, value VARCHAR);
COMMENT ON TABLE raw.setting IS 'everything that was chosen or found and could explain a difference between two runs, one row per setting';
COMMENT ON COLUMN raw.setting.run_id IS 'run';
COMMENT ON COLUMN raw.setting.source IS
  'plan (asked of wb), engine (said by the server), cache_config (vllm:cache_config_info), host, gpu, software or conversation';
COMMENT ON COLUMN raw.setting.name IS 'name of the setting';
COMMENT ON COLUMN raw.setting.value IS 'value as text';

CREATE TABLE raw.host (
  run_id UUID, hostname VARCHAR, os VARCHAR, kernel VARCHAR, arch VARCHAR, virtualization VARCHAR, cpu_model VARCHAR,
  cpu_cores INTEGER, cpu_threads INTEGER, cpu_max_mhz DOUBLE, cpu_governor VARCHAR, memory_total_bytes BIGINT, swap_total_bytes BIGINT,
  disk_free_bytes BIGINT, booted_at TIMESTAMP);
COMMENT ON TABLE raw.host IS 'the machine wb ran on, read once per run';
COMMENT ON COLUMN raw.host.run_id IS 'run';
COMMENT ON COLUMN raw.host.hostname IS 'host name';
COMMENT ON COLUMN raw.host.os IS 'operating system and release';
COMMENT ON COLUMN raw.host.kernel IS 'kernel release';
COMMENT ON COLUMN raw.host.arch IS 'processor architecture';
COMMENT ON COLUMN raw.host.virtualization IS 'hypervisor or container runtime, as far as it shows';
COMMENT ON COLUMN raw.host.cpu_model IS 'processor name';
COMMENT ON COLUMN raw.host.cpu_cores IS 'physical cores';
COMMENT ON COLUMN raw.host.cpu_threads IS 'hardware threads';
COMMENT ON COLUMN raw.host.cpu_max_mhz IS 'highest clock the processor names';
COMMENT ON COLUMN raw.host.cpu_governor IS 'frequency governor of the first core, where Linux tells';
COMMENT ON COLUMN raw.host.memory_total_bytes IS 'installed memory';
COMMENT ON COLUMN raw.host.swap_total_bytes IS 'swap space';
COMMENT ON COLUMN raw.host.disk_free_bytes IS 'free space where the DuckDB file lies, at the start';
COMMENT ON COLUMN raw.host.booted_at IS 'boot time, UTC';

CREATE TABLE raw.gpu (
  run_id UUID, gpu INTEGER, uuid VARCHAR, name VARCHAR, driver_version VARCHAR, cuda_version VARCHAR, compute_capability VARCHAR,
  memory_total_bytes BIGINT, power_limit_w DOUBLE, sm_clock_max_mhz BIGINT, memory_clock_max_mhz BIGINT, pcie_generation INTEGER,
  pcie_width INTEGER,
  persistence BOOLEAN, ecc BOOLEAN, mig BOOLEAN, gpm BOOLEAN);
COMMENT ON TABLE raw.gpu IS 'NVIDIA GPUs of the machine, read once per run through NVML';
COMMENT ON COLUMN raw.gpu.run_id IS 'run';
COMMENT ON COLUMN raw.gpu.gpu IS 'NVML index, from 0';
COMMENT ON COLUMN raw.gpu.uuid IS 'GPU UUID';
COMMENT ON COLUMN raw.gpu.name IS 'product name';
COMMENT ON COLUMN raw.gpu.driver_version IS 'NVIDIA driver';
COMMENT ON COLUMN raw.gpu.cuda_version IS 'highest CUDA version of the driver';
COMMENT ON COLUMN raw.gpu.compute_capability IS 'CUDA compute capability, such as 9.0';
COMMENT ON COLUMN raw.gpu.memory_total_bytes IS 'device memory';
COMMENT ON COLUMN raw.gpu.power_limit_w IS 'enforced power limit';
COMMENT ON COLUMN raw.gpu.sm_clock_max_mhz IS 'highest SM clock';
COMMENT ON COLUMN raw.gpu.memory_clock_max_mhz IS 'highest memory clock';
COMMENT ON COLUMN raw.gpu.pcie_generation IS 'current PCIe generation';
COMMENT ON COLUMN raw.gpu.pcie_width IS 'current PCIe lanes';
COMMENT ON COLUMN raw.gpu.persistence IS 'persistence mode on';
COMMENT ON COLUMN raw.gpu.ecc IS 'ECC on';
COMMENT ON COLUMN raw.gpu.mig IS 'Multi-Instance GPU mode on';
COMMENT ON COLUMN raw.gpu.gpm IS 'GPU performance monitoring (SM, tensor and DRAM activity) is supported and was sampled';

CREATE TABLE raw.engine (
  run_id UUID, kind VARCHAR, version VARCHAR, url VARCHAR, model VARCHAR, model_root VARCHAR, max_model_len_tokens BIGINT,
  block_size_tokens BIGINT, kv_cache_size_tokens BIGINT, prefix_caching BOOLEAN, cache_config VARCHAR, pid BIGINT,
  has_metrics BOOLEAN, has_tokenize BOOLEAN, token_counts VARCHAR, process_started_at TIMESTAMP);
COMMENT ON TABLE raw.engine IS 'the server that answered, as it described itself';
COMMENT ON COLUMN raw.engine.run_id IS 'run';
COMMENT ON COLUMN raw.engine.kind IS 'vllm, openai (any other OpenAI-compatible server) or simulator';
COMMENT ON COLUMN raw.engine.version IS 'answer of /version';
COMMENT ON COLUMN raw.engine.url IS 'base URL, without credentials';
COMMENT ON COLUMN raw.engine.model IS 'model name sent with requests';
COMMENT ON COLUMN raw.engine.model_root IS 'what the server loaded under that name';
COMMENT ON COLUMN raw.engine.max_model_len_tokens IS 'longest context the server takes, prompt and completion together';
COMMENT ON COLUMN raw.engine.block_size_tokens IS 'tokens in one KV block; prefix-cache hits are whole blocks';
COMMENT ON COLUMN raw.engine.kv_cache_size_tokens IS 'tokens the KV cache holds';
COMMENT ON COLUMN raw.engine.prefix_caching IS 'prefix caching switched on';
COMMENT ON COLUMN raw.engine.cache_config IS 'labels of vllm:cache_config_info';
COMMENT ON COLUMN raw.engine.pid IS 'process id of the server when it runs on this machine and could be found';
COMMENT ON COLUMN raw.engine.has_metrics IS '/metrics answered with vLLM counters';
COMMENT ON COLUMN raw.engine.has_tokenize IS '/tokenize answered';
COMMENT ON COLUMN raw.engine.token_counts IS
  'where per-chunk token counts come from: usage (continuous_usage_stats), ids (token_ids in chunks) or none';
COMMENT ON COLUMN raw.engine.process_started_at IS 'start of the server process, UTC, as /metrics tells';

CREATE TABLE raw.session (
  run_id UUID, session_id INTEGER, conversation VARCHAR, conversation_sha256 VARCHAR, variant VARCHAR, repeat INTEGER, warmup BOOLEAN,
  isolation VARCHAR, started_ns BIGINT, ended_ns BIGINT, status VARCHAR);
COMMENT ON TABLE raw.session IS 'one pass through one conversation';
COMMENT ON COLUMN raw.session.run_id IS 'run';
COMMENT ON COLUMN raw.session.session_id IS 'ordinal in the run, from 1';
COMMENT ON COLUMN raw.session.conversation IS 'id of the conversation';
COMMENT ON COLUMN raw.session.conversation_sha256 IS 'hash of the conversation as parsed; equal hashes mean equal conversations';
COMMENT ON COLUMN raw.session.variant IS 'variant of the conversation, such as the placement of its documents';
COMMENT ON COLUMN raw.session.repeat IS 'repeat, from 1; 0 for warm-up sessions';
COMMENT ON COLUMN raw.session.warmup IS 'warm-up: recorded, and left out of reports';
COMMENT ON COLUMN raw.session.isolation IS 'salt (a separate cache_salt) or none';
COMMENT ON COLUMN raw.session.started_ns IS 'start, ns since run start';
COMMENT ON COLUMN raw.session.ended_ns IS 'end, ns since run start; NULL while it runs or when wb died';
COMMENT ON COLUMN raw.session.status IS 'running, ok, failed or interrupted';

CREATE TABLE raw.turn (
  run_id UUID, turn_id INTEGER, session_id INTEGER, turn INTEGER, status VARCHAR, error VARCHAR, http_status INTEGER, error_body VARCHAR,
  request_id VARCHAR, submit_ns BIGINT, written_ns BIGINT, headers_ns BIGINT, first_chunk_ns BIGINT, first_ns BIGINT,
  first_content_ns BIGINT,
  last_ns BIGINT, done_ns BIGINT, connection_reused BOOLEAN, prompt_tokens BIGINT, cached_tokens BIGINT, completion_tokens BIGINT,
  reasoning_tokens BIGINT, finish_reason VARCHAR, max_tokens BIGINT, messages INTEGER, documents INTEGER, request_bytes BIGINT,
  prompt_sha256 VARCHAR, reply_sha256 VARCHAR, checks INTEGER, checks_passed INTEGER);
COMMENT ON TABLE raw.turn IS 'one request: one user message and the reply to it';
COMMENT ON COLUMN raw.turn.run_id IS 'run';
COMMENT ON COLUMN raw.turn.turn_id IS 'ordinal in the run, from 1';
COMMENT ON COLUMN raw.turn.session_id IS 'session';
COMMENT ON COLUMN raw.turn.turn IS 'turn of the conversation, from 1';
COMMENT ON COLUMN raw.turn.status IS
  'ok (a finish reason and the usage were seen), http_error, refused, timeout, cut (the stream ended early), damaged (bytes that are no '
  'SSE or no JSON), server_error (an error inside the stream) or interrupted';
COMMENT ON COLUMN raw.turn.error IS 'why the turn is not ok, in one line';
COMMENT ON COLUMN raw.turn.http_status IS 'HTTP status code';
COMMENT ON COLUMN raw.turn.error_body IS 'what the server said instead, at most 4 KiB';
COMMENT ON COLUMN raw.turn.request_id IS 'id of the completion, as the server gave it';
COMMENT ON COLUMN raw.turn.submit_ns IS 'request handed to the HTTP client, ns since run start';
COMMENT ON COLUMN raw.turn.written_ns IS 'last byte of the request written to the socket, ns since run start';
COMMENT ON COLUMN raw.turn.headers_ns IS 'first byte of the response, ns since run start; vLLM sends headers before prefill';
COMMENT ON COLUMN raw.turn.first_chunk_ns IS 'first event of the stream (often only the role), ns since run start';
COMMENT ON COLUMN raw.turn.first_ns IS 'first event that carries a token, content or reasoning, ns since run start';
COMMENT ON COLUMN raw.turn.first_content_ns IS 'first event with content that is not reasoning, ns since run start';
COMMENT ON COLUMN raw.turn.last_ns IS 'last event that carries a token, ns since run start';
COMMENT ON COLUMN raw.turn.done_ns IS 'end of the response, ns since run start';
COMMENT ON COLUMN raw.turn.connection_reused IS 'the TCP connection was open before';
COMMENT ON COLUMN raw.turn.prompt_tokens IS 'tokens of the rendered prompt, as the server counted';
COMMENT ON COLUMN raw.turn.cached_tokens IS
  'prompt tokens served from the prefix cache (usage.prompt_tokens_details); NULL when the server does not say';
COMMENT ON COLUMN raw.turn.completion_tokens IS 'tokens generated';
COMMENT ON COLUMN raw.turn.reasoning_tokens IS 'of these, reasoning, where the server says';
COMMENT ON COLUMN raw.turn.finish_reason IS 'stop, length, tool_calls …';
COMMENT ON COLUMN raw.turn.max_tokens IS 'limit sent with the request';
COMMENT ON COLUMN raw.turn.messages IS 'messages in the prompt';
COMMENT ON COLUMN raw.turn.documents IS 'retrieved documents in the prompt';
COMMENT ON COLUMN raw.turn.request_bytes IS 'size of the request body';
COMMENT ON COLUMN raw.turn.prompt_sha256 IS 'hash over the roles and texts of the prompt';
COMMENT ON COLUMN raw.turn.reply_sha256 IS 'message the reply is stored under';
COMMENT ON COLUMN raw.turn.checks IS 'facts the conversation says a good answer contains';
COMMENT ON COLUMN raw.turn.checks_passed IS 'of these, how many the reply contains, letter case aside; NULL when the turn did not end well';

CREATE TABLE raw.message (sha256 VARCHAR, role VARCHAR, content VARCHAR, reasoning VARCHAR, content_bytes BIGINT);
COMMENT ON TABLE raw.message IS 'texts of prompts and replies, stored once by hash';
COMMENT ON COLUMN raw.message.sha256 IS 'hash of role and text';
COMMENT ON COLUMN raw.message.role IS 'system, user or assistant';
COMMENT ON COLUMN raw.message.content IS 'text; NULL with --no-text';
COMMENT ON COLUMN raw.message.reasoning IS 'reasoning of a reply, where the server tells it apart';
COMMENT ON COLUMN raw.message.content_bytes IS 'size of the text, UTF-8';

CREATE TABLE raw.turn_message (run_id UUID, turn_id INTEGER, position INTEGER, sha256 VARCHAR);
COMMENT ON TABLE raw.turn_message IS 'which messages made up the prompt of a turn, in order';
COMMENT ON COLUMN raw.turn_message.run_id IS 'run';
COMMENT ON COLUMN raw.turn_message.turn_id IS 'turn';
COMMENT ON COLUMN raw.turn_message.position IS 'place in the prompt, from 1';
COMMENT ON COLUMN raw.turn_message.sha256 IS 'message';

CREATE TABLE raw.chunk (
  run_id UUID, turn_id INTEGER, seq INTEGER, read_seq INTEGER, t_ns BIGINT, kind VARCHAR, tokens INTEGER, text_bytes INTEGER);
COMMENT ON TABLE raw.chunk IS 'one streamed event';
COMMENT ON COLUMN raw.chunk.run_id IS 'run';
COMMENT ON COLUMN raw.chunk.turn_id IS 'turn';
COMMENT ON COLUMN raw.chunk.seq IS 'ordinal in the turn, from 1';
COMMENT ON COLUMN raw.chunk.read_seq IS 'socket read it came with, from 1; events of one read share a time';
COMMENT ON COLUMN raw.chunk.t_ns IS 'when that read returned, ns since run start';
COMMENT ON COLUMN raw.chunk.kind IS 'role, content, reasoning, tool, empty (a token that is not text yet), usage, error or other';
COMMENT ON COLUMN raw.chunk.tokens IS
  'tokens it carried, where the server says; NULL otherwise, and then no per-token figure is made of it';
COMMENT ON COLUMN raw.chunk.text_bytes IS 'bytes of text, UTF-8';

CREATE TABLE raw.scrape (
  run_id UUID, scrape_id INTEGER, turn_id INTEGER, phase VARCHAR, t_ns BIGINT, cost_ns BIGINT, response_bytes BIGINT, error VARCHAR);
COMMENT ON TABLE raw.scrape IS 'one reading of the server''s /metrics';
COMMENT ON COLUMN raw.scrape.run_id IS 'run';
COMMENT ON COLUMN raw.scrape.scrape_id IS 'ordinal in the run, from 1';
COMMENT ON COLUMN raw.scrape.turn_id IS 'turn it stands beside; NULL for none';
COMMENT ON COLUMN raw.scrape.phase IS 'start, before (a turn), after (a turn), tick (inside a long turn) or end';
COMMENT ON COLUMN raw.scrape.t_ns IS 'when the answer was complete, ns since run start';
COMMENT ON COLUMN raw.scrape.cost_ns IS 'time the reading took';
COMMENT ON COLUMN raw.scrape.response_bytes IS 'size of the answer';
COMMENT ON COLUMN raw.scrape.error IS 'why there is no reading';

CREATE TABLE raw.engine_metric (run_id UUID, scrape_id INTEGER, t_ns BIGINT, name VARCHAR, labels VARCHAR, value DOUBLE);
COMMENT ON TABLE raw.engine_metric IS 'every series of every scrape, whole';
COMMENT ON COLUMN raw.engine_metric.run_id IS 'run';
COMMENT ON COLUMN raw.engine_metric.scrape_id IS 'scrape';
COMMENT ON COLUMN raw.engine_metric.t_ns IS 'time of the scrape, ns since run start';
COMMENT ON COLUMN raw.engine_metric.name IS 'series, with _sum, _count or _bucket for histograms';
COMMENT ON COLUMN raw.engine_metric.labels IS 'labels in name order, as key="value", comma-separated';
COMMENT ON COLUMN raw.engine_metric.value IS 'value, in the unit of the name';

CREATE TABLE raw.gpu_sample (
  run_id UUID, gpu INTEGER, t_ns BIGINT, cost_ns BIGINT, sample_group VARCHAR, gpu_util_ratio DOUBLE, memory_util_ratio DOUBLE,
  power_w DOUBLE,
  sm_clock_mhz BIGINT, memory_clock_mhz BIGINT, temperature_c DOUBLE, throttle_reasons BIGINT, memory_used_bytes BIGINT, energy_mj BIGINT,
  power_instant_w DOUBLE, memory_temperature_c DOUBLE, performance_state INTEGER, pcie_tx_bytes_per_s DOUBLE, pcie_rx_bytes_per_s DOUBLE,
  sm_active_ratio DOUBLE, sm_occupancy_ratio DOUBLE, tensor_active_ratio DOUBLE, dram_active_ratio DOUBLE);
COMMENT ON TABLE raw.gpu_sample IS 'GPU readings; the fast group fills the cheap columns, the slow group the others';
COMMENT ON COLUMN raw.gpu_sample.run_id IS 'run';
COMMENT ON COLUMN raw.gpu_sample.gpu IS 'NVML index';
COMMENT ON COLUMN raw.gpu_sample.t_ns IS 'middle of the reading, ns since run start';
COMMENT ON COLUMN raw.gpu_sample.cost_ns IS 'time the reading took';
COMMENT ON COLUMN raw.gpu_sample.sample_group IS 'fast or slow';
COMMENT ON COLUMN raw.gpu_sample.gpu_util_ratio IS 'share of the last 0.2 s or so in which a kernel ran, 0 to 1';
COMMENT ON COLUMN raw.gpu_sample.memory_util_ratio IS 'share of that time in which device memory was read or written, 0 to 1';
COMMENT ON COLUMN raw.gpu_sample.power_w IS 'board power, NVML''s average (1 s on most GPUs)';
COMMENT ON COLUMN raw.gpu_sample.sm_clock_mhz IS 'SM clock';
COMMENT ON COLUMN raw.gpu_sample.memory_clock_mhz IS 'memory clock';
COMMENT ON COLUMN raw.gpu_sample.temperature_c IS 'GPU temperature';
COMMENT ON COLUMN raw.gpu_sample.throttle_reasons IS 'NVML clock event reasons, a bit mask (nvml.h, nvmlClocksEventReason*)';
COMMENT ON COLUMN raw.gpu_sample.memory_used_bytes IS 'device memory in use';
COMMENT ON COLUMN raw.gpu_sample.energy_mj IS 'energy counter since the driver was loaded, millijoules';
COMMENT ON COLUMN raw.gpu_sample.power_instant_w IS 'instant board power';
COMMENT ON COLUMN raw.gpu_sample.memory_temperature_c IS 'memory temperature';
COMMENT ON COLUMN raw.gpu_sample.performance_state IS 'P-state, 0 is the highest';
COMMENT ON COLUMN raw.gpu_sample.pcie_tx_bytes_per_s IS 'PCIe traffic from the GPU, over 20 ms';
COMMENT ON COLUMN raw.gpu_sample.pcie_rx_bytes_per_s IS 'PCIe traffic to the GPU, over 20 ms';
COMMENT ON COLUMN raw.gpu_sample.sm_active_ratio IS 'GPM: share of time an SM had a warp, mean over SMs since the last sample';
COMMENT ON COLUMN raw.gpu_sample.sm_occupancy_ratio IS 'GPM: resident warps over the most possible';
COMMENT ON COLUMN raw.gpu_sample.tensor_active_ratio IS 'GPM: share of time the tensor cores were active';
COMMENT ON COLUMN raw.gpu_sample.dram_active_ratio IS 'GPM: DRAM bandwidth used over the peak';

CREATE TABLE raw.host_sample (
  run_id UUID, t_ns BIGINT, cost_ns BIGINT, late_ns BIGINT, cpu_ratio DOUBLE, cpu_busiest_ratio DOUBLE, load1 DOUBLE,
  memory_used_bytes BIGINT,
  memory_available_bytes BIGINT, swap_used_bytes BIGINT, disk_read_bytes BIGINT, disk_write_bytes BIGINT, net_received_bytes BIGINT,
  net_sent_bytes BIGINT);
COMMENT ON TABLE raw.host_sample IS 'host readings';
COMMENT ON COLUMN raw.host_sample.run_id IS 'run';
COMMENT ON COLUMN raw.host_sample.t_ns IS 'middle of the reading, ns since run start';
COMMENT ON COLUMN raw.host_sample.cost_ns IS 'time the reading took';
COMMENT ON COLUMN raw.host_sample.late_ns IS 'how late the sampler''s tick fired: a large value means that wb itself was frozen';
COMMENT ON COLUMN raw.host_sample.cpu_ratio IS 'busy share of all threads since the last sample, 0 to 1';
COMMENT ON COLUMN raw.host_sample.cpu_busiest_ratio IS 'busy share of the busiest thread since the last sample';
COMMENT ON COLUMN raw.host_sample.load1 IS 'load average of the last minute';
COMMENT ON COLUMN raw.host_sample.memory_used_bytes IS 'memory in use';
COMMENT ON COLUMN raw.host_sample.memory_available_bytes IS 'memory that programs can still get';
COMMENT ON COLUMN raw.host_sample.swap_used_bytes IS 'swap in use';
COMMENT ON COLUMN raw.host_sample.disk_read_bytes IS 'read from disks since boot';
COMMENT ON COLUMN raw.host_sample.disk_write_bytes IS 'written to disks since boot';
COMMENT ON COLUMN raw.host_sample.net_received_bytes IS 'received on all interfaces since boot';
COMMENT ON COLUMN raw.host_sample.net_sent_bytes IS 'sent on all interfaces since boot';

CREATE TABLE raw.process_sample (
  run_id UUID, t_ns BIGINT, cost_ns BIGINT, pid BIGINT, role VARCHAR, name VARCHAR, cpu_s DOUBLE, rss_bytes BIGINT, threads INTEGER,
  gc_pause_ns BIGINT);
COMMENT ON TABLE raw.process_sample IS 'readings of single processes';
COMMENT ON COLUMN raw.process_sample.run_id IS 'run';
COMMENT ON COLUMN raw.process_sample.t_ns IS 'middle of the reading, ns since run start';
COMMENT ON COLUMN raw.process_sample.cost_ns IS 'time the reading took';
COMMENT ON COLUMN raw.process_sample.pid IS 'process id';
COMMENT ON COLUMN raw.process_sample.role IS
  'wb (this program, with the simulator when it is embedded) or engine (the server and its children)';
COMMENT ON COLUMN raw.process_sample.name IS 'program name';
COMMENT ON COLUMN raw.process_sample.cpu_s IS 'CPU seconds, user and system, since the process started';
COMMENT ON COLUMN raw.process_sample.rss_bytes IS 'resident memory';
COMMENT ON COLUMN raw.process_sample.threads IS 'threads';
COMMENT ON COLUMN raw.process_sample.gc_pause_ns IS 'wb only: sum of garbage-collection pauses since its start';

CREATE TABLE raw.event (run_id UUID, t_ns BIGINT, kind VARCHAR, source VARCHAR, turn_id INTEGER, message VARCHAR);
COMMENT ON TABLE raw.event IS 'anything a reader of the run must know';
COMMENT ON COLUMN raw.event.run_id IS 'run';
COMMENT ON COLUMN raw.event.t_ns IS 'when, ns since run start';
COMMENT ON COLUMN raw.event.kind IS 'sampler_failed, frozen, clock_step, buffer_full, not_isolated, no_gpu, context_full …';
COMMENT ON COLUMN raw.event.source IS 'part of wb that noticed';
COMMENT ON COLUMN raw.event.turn_id IS 'turn under way, if any';
COMMENT ON COLUMN raw.event.message IS 'one sentence';
