-- How the tokens of a reply reached the client: figures per token are computed from this.
-- Runs of an older wb get these values from raw.chunk when their file is migrated.

ALTER TABLE raw.turn ADD COLUMN token_events INTEGER;
COMMENT ON COLUMN raw.turn.token_events IS 'streamed events that carried text or tokens';
ALTER TABLE raw.turn ADD COLUMN token_reads INTEGER;
COMMENT ON COLUMN raw.turn.token_reads IS 'socket reads that brought those events; NULL in runs of an older wb';
ALTER TABLE raw.turn ADD COLUMN first_read_events INTEGER;
COMMENT ON COLUMN raw.turn.first_read_events IS
  'of those events, the ones that came with the first of those reads: they share its time, first_ns';
ALTER TABLE raw.turn ADD COLUMN streamed_tokens BIGINT;
COMMENT ON COLUMN raw.turn.streamed_tokens IS
  'tokens that those events carried, by token ids or running usage; NULL where one of them did not say';
ALTER TABLE raw.turn ADD COLUMN first_read_tokens BIGINT;
COMMENT ON COLUMN raw.turn.first_read_tokens IS 'of those tokens, the ones that came with the first read; NULL where an event did not say';
COMMENT ON COLUMN raw.turn.status IS
  'ok (a good finish reason, a usage that can be believed and a text that was understood were seen), http_error, refused, timeout, cut '
  '(the stream ended early, or its usage cannot be believed), damaged (bytes that are no events, or more than wb holds), server_error '
  '(an error inside the stream, or a finish reason of a reply that did not end well), interrupted or overflow (not sent)';
COMMENT ON COLUMN raw.turn.prompt_tokens IS
  'tokens of the rendered prompt, as the server counted; NULL when it does not say, or says what cannot be';
COMMENT ON COLUMN raw.turn.cached_tokens IS
  'prompt tokens served from the prefix cache; NULL when the server does not say, or says more than the prompt has';
COMMENT ON COLUMN raw.engine.has_metrics IS '/metrics answered with counters, whosever they are';
COMMENT ON COLUMN raw.engine.has_tokenize IS '/tokenize answered with token ids';
