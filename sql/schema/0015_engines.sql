-- Engines other than vLLM: what a server says about its model, what it says about each request, and the memory bandwidth of a machine
-- whose processors run the model.

ALTER TABLE raw.engine ADD COLUMN quantization VARCHAR;
COMMENT ON COLUMN raw.engine.quantization IS 'format of the weights, as the server names it; NULL where it does not say';
ALTER TABLE raw.engine ADD COLUMN parameters BIGINT;
COMMENT ON COLUMN raw.engine.parameters IS 'parameters of the model, as the server counts them; NULL where it does not say';
ALTER TABLE raw.engine ADD COLUMN weights_bytes BIGINT;
COMMENT ON COLUMN raw.engine.weights_bytes IS 'size of the weights, as the server counts it; NULL where it does not say';
ALTER TABLE raw.engine ADD COLUMN slots BIGINT;
COMMENT ON COLUMN raw.engine.slots IS 'requests that the server computes at once, each in a separate slot; NULL where it has no slots';
COMMENT ON COLUMN raw.engine.kind IS 'vllm, llamacpp, openai (any other OpenAI-compatible server) or simulator';
COMMENT ON COLUMN raw.engine.version IS 'version that the server reports, or its build';
COMMENT ON COLUMN raw.engine.block_size_tokens IS
  'tokens in one KV block; prefix-cache hits are whole blocks. 1 where the server reuses a prefix token by token';

ALTER TABLE raw.model ADD COLUMN on_cpu BOOLEAN;
COMMENT ON COLUMN raw.model.on_cpu IS
  'the processors of this machine run the model, so the limit is the bandwidth of their memory; NULL in runs of an older wb';

ALTER TABLE raw.host ADD COLUMN memory_read_bytes_per_s BIGINT;
COMMENT ON COLUMN raw.host.memory_read_bytes_per_s IS
  'bandwidth of reading main memory with all processors, measured by wb calibrate; NULL in other runs';

CREATE TABLE raw.turn_server (
  run_id UUID, turn_id INTEGER, source VARCHAR, queue_ms DOUBLE, prefill_ms DOUBLE, decode_ms DOUBLE, ttft_ms DOUBLE,
  cached_tokens BIGINT, prefill_tokens BIGINT, decode_tokens BIGINT, draft_tokens BIGINT, draft_tokens_accepted BIGINT);
COMMENT ON TABLE raw.turn_server IS 'what the server said about a request in its last event; no row where it said nothing';
COMMENT ON COLUMN raw.turn_server.run_id IS 'run';
COMMENT ON COLUMN raw.turn_server.turn_id IS 'request';
COMMENT ON COLUMN raw.turn_server.source IS 'member of the event: timings (llama.cpp) or metrics (vLLM with --enable-per-request-metrics)';
COMMENT ON COLUMN raw.turn_server.queue_ms IS 'time in the server''s queue; NULL where it does not say';
COMMENT ON COLUMN raw.turn_server.prefill_ms IS 'time of prefill by the server''s clock; NULL where it does not say';
COMMENT ON COLUMN raw.turn_server.decode_ms IS
  'time of decoding by the server''s clock, from the first token to the last; NULL where it does not say';
COMMENT ON COLUMN raw.turn_server.ttft_ms IS 'time from scheduling to the first token by the server''s clock; NULL where it does not say';
COMMENT ON COLUMN raw.turn_server.cached_tokens IS 'prompt tokens that were in the cache; NULL where it does not say';
COMMENT ON COLUMN raw.turn_server.prefill_tokens IS 'prompt tokens that were computed; NULL where it does not say';
COMMENT ON COLUMN raw.turn_server.decode_tokens IS 'tokens that were generated; NULL where it does not say';
COMMENT ON COLUMN raw.turn_server.draft_tokens IS
  'draft tokens of speculation; NULL where the server does not say, as llama.cpp without drafts';
COMMENT ON COLUMN raw.turn_server.draft_tokens_accepted IS
  'how many of them were accepted, so that they needed no separate step; NULL where the server does not say';

COMMENT ON COLUMN raw.cache_miss.cause IS
  'new_text, changed_text, template_rewrote_history, retokenized, block_rounding, last_token, evicted, slot_taken, host_memory_full, '
  'small_share, not_restorable, context_shifted, hybrid_state, isolation or unknown';
COMMENT ON COLUMN raw.engine.token_counts IS
  'where per-chunk token counts come from: usage (continuous_usage_stats), timings (timings_per_token), ids (token_ids in chunks) or none';
