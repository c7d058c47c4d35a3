-- Comments in plain words for tables and columns whose earlier comments were hard to read.

DROP VIEW IF EXISTS main.visits; -- it is called segments now

COMMENT ON TABLE raw.session IS 'one conversation played from its first turn to its last';
COMMENT ON TABLE raw.engine_metric IS 'every series of every scrape';
COMMENT ON TABLE raw.turn_token IS 'token ids of prompts and replies, where the server reported them';
COMMENT ON TABLE raw.model IS 'what the model costs by its configuration and weights; limits are computed from it';
COMMENT ON TABLE raw.truth IS 'when the simulator received each request and sent each event, as it wrote down itself';

COMMENT ON COLUMN raw.run.started_at IS 'wall clock, UTC; all *_ns columns of the run count from it';
COMMENT ON COLUMN raw.run.process_started_at IS
  'when that process started, UTC: another process that gets the same pid has another start';
COMMENT ON COLUMN raw.run.plan_id IS 'execution of a plan that the run belongs to; NULL where the run is not part of a plan';
COMMENT ON COLUMN raw.run.executions IS
  'how often the run was begun (not executions of a plan): 1, and one more each time it was resumed; of two copies, the one with more '
  'is newer. NULL in runs of an older wb means 1';
COMMENT ON COLUMN raw.run.changed_at IS
  'when the run last ended, was resumed or was tagged, UTC, by the clock of the machine that did it; of two copies that were begun '
  'equally often, the later one is newer. NULL in runs of an older wb means ended_at';
COMMENT ON COLUMN raw.run.spec IS
  'spec of the execution that the run belongs to, as JSON without secrets: repeats, the flags that were given, and the settings of each '
  'cell (in the first run of a plan only). NULL in runs of a wb before schema 12';
COMMENT ON COLUMN raw.setting.source IS
  'where it comes from: plan (what wb was asked to do), server (flags and environment that wb started it with), engine (reported by the '
  'server), cache_config (vllm:cache_config_info), host, gpu, software, conversation or selftest';
COMMENT ON COLUMN raw.host.virtualization IS 'hypervisor or container runtime, where it can be seen';
COMMENT ON COLUMN raw.host.cpu_max_mhz IS 'highest clock that the processor reports';
COMMENT ON COLUMN raw.host.cpu_governor IS 'frequency governor of the first core, where Linux reports it';
COMMENT ON COLUMN raw.engine.has_metrics IS '/metrics answered with counters, of vLLM or of another server';
COMMENT ON COLUMN raw.engine.process_started_at IS 'when the server process started, UTC, as /metrics reports';

COMMENT ON COLUMN raw.session.isolation IS
  'what kept it from using cached tokens of other sessions: restart (the server was started again), reset (its prefix cache was '
  'emptied), salt (a cache_salt for this session only), line (a first line that only its prompts have) or none; it is what was really '
  'done';
COMMENT ON COLUMN raw.session.client_user IS 'which of several users played it, from 1';
COMMENT ON COLUMN raw.session.first_cached_tokens IS
  'prompt tokens of its first turn that the server had cached, by the usage or else by the server''s counters; NULL where neither says, '
  'and in runs of an older wb';
COMMENT ON COLUMN raw.turn.status IS
  'ok (a good finish reason, a plausible usage and a readable text), http_error, refused, timeout, cut (the stream ended early, or its '
  'usage is not plausible), damaged (bytes that are not events, or more than wb holds), server_error (an error inside the stream, or a '
  'finish reason of a reply that did not end well), interrupted or overflow (not sent)';
COMMENT ON COLUMN raw.turn.intended_ns IS
  'when --rate wanted the session to begin, ns since run start, on its first turn; NULL in a closed loop, where a turn begins when the '
  'one before has ended';
COMMENT ON COLUMN raw.turn.prompt_tokens IS
  'tokens of the rendered prompt, as the server counted; NULL where it reports none, or an impossible number';
COMMENT ON COLUMN raw.turn.cached_tokens IS
  'prompt tokens served from the prefix cache; NULL where the server reports none, or more than the prompt has';
COMMENT ON COLUMN raw.turn.reasoning_tokens IS 'how many completion tokens are reasoning, where the server reports it';
COMMENT ON COLUMN raw.turn.checks_passed IS
  'how many of the checked facts the reply contains, in any letter case; NULL when the turn did not end well';
COMMENT ON COLUMN raw.turn.first_read_events IS
  'how many of those events came with the first of those reads; they share its time, first_ns';
COMMENT ON COLUMN raw.turn.streamed_tokens IS
  'tokens that those events carried, by token ids or running usage; NULL where one of them does not say';
COMMENT ON COLUMN raw.turn.first_read_tokens IS 'how many of those tokens came with the first read; NULL where an event does not say';
COMMENT ON COLUMN raw.message.reasoning IS 'reasoning of a reply, where the server reports it separately';
COMMENT ON COLUMN raw.chunk.tokens IS 'tokens it carried; NULL where the server does not say, and then no figure per token uses it';
COMMENT ON COLUMN raw.chunk.read_delay_ns IS
  'longest time that the event can have lain in the kernel before t_ns, ns; it ends at t_ns and begins with the kernel''s time stamp '
  '(Linux, SO_TIMESTAMPING) of the last packet of the read, or with the read before if other events came after it in the same read; '
  'NULL where that is not known. Runs of a wb before schema 11 have the time from the last packet for all events';
COMMENT ON COLUMN raw.scrape.turn_id IS 'turn that it was read for; NULL for none';
COMMENT ON COLUMN raw.event.source IS 'which part of wb noticed it';

COMMENT ON COLUMN raw.turn_token.part IS
  'which part of these ids the row holds: 0, 1, … of at most 64 ids each; NULL in runs of an older wb, where one row holds all of them';
COMMENT ON COLUMN raw.turn_token.shared_turn_id IS
  'earlier request whose prompt begins with the same tokens; NULL for none; in part 0 only';
COMMENT ON COLUMN raw.turn_token.shared_tokens IS 'how many tokens are taken from the start of that prompt; in part 0 only, else 0';
COMMENT ON COLUMN raw.turn_token.tokens IS 'token ids that come after those, or after the part before';
COMMENT ON COLUMN raw.cache_turn.block_ideal_tokens IS
  'whole blocks of that prefix, with at least one token computed: the most that vLLM can hit';
COMMENT ON COLUMN raw.cache_turn.text_ideal_tokens IS 'tokens whose text was sent before, unchanged: the most that any cache could hit';
COMMENT ON COLUMN raw.cache_turn.divergence_message IS
  'index, from 0, of the message where the prompt differs from what was sent before; NULL when the prompt only extends it, and when the '
  'messages are equal and only their tokens differ';

COMMENT ON COLUMN raw.model.decode_weights_bytes IS
  'weights read for one token of one sequence; of routed experts, only those that the token uses';
COMMENT ON COLUMN raw.model.sliding_layers IS 'how many layers have a sliding window';
COMMENT ON COLUMN raw.model.attention_width IS
  'query heads times head size, or what replaces it in latent attention; attention takes 4 times this in FLOP, per token, layer and '
  'token of context';
COMMENT ON COLUMN raw.model.arithmetic IS 'which peak is used: bf16 (16 bits) or fp8';
COMMENT ON COLUMN raw.model.gpu_name IS 'GPU product that the limits are for; NULL when the server''s GPU is not known';
COMMENT ON COLUMN raw.model.gpus IS 'GPUs that share the model (tensor parallel)';
COMMENT ON COLUMN raw.truth.t_ns IS
  'ns since run start where raw.setting has truth_clock = run; otherwise ns since the simulator was made, and then only differences '
  'within a request mean something';
