-- What the simulator really did, by its records: the client's times are compared with it.

CREATE TABLE raw.truth (run_id UUID, request_id VARCHAR, seq INTEGER, t_ns BIGINT, tokens INTEGER);
COMMENT ON TABLE raw.truth IS
  'when the simulator really received each request and really sent each event (wb sim --served-log), on its clock';
COMMENT ON COLUMN raw.truth.run_id IS 'run';
COMMENT ON COLUMN raw.truth.request_id IS 'id of the completion, as in raw.turn';
COMMENT ON COLUMN raw.truth.seq IS '0 for the arrival of the request, then its events from 1';
COMMENT ON COLUMN raw.truth.t_ns IS 'ns since the simulator was made; only differences within a request mean something';
COMMENT ON COLUMN raw.truth.tokens IS 'tokens the event carried';
COMMENT ON COLUMN raw.setting.source IS
  'plan (asked of wb), server (flags and environment wb started it with), engine (said by the server), cache_config '
  '(vllm:cache_config_info), host, gpu, software, conversation or selftest';
