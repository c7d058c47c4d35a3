-- What each prompt could have reused: token ids, the longest common prefix, and a cause for every token that was computed.

CREATE TABLE raw.turn_token (run_id UUID, turn_id INTEGER, kind VARCHAR, shared_turn_id INTEGER, shared_tokens BIGINT, tokens INTEGER[]);
COMMENT ON TABLE raw.turn_token IS 'token ids of prompts and replies, as far as the server told them';
COMMENT ON COLUMN raw.turn_token.run_id IS 'run';
COMMENT ON COLUMN raw.turn_token.turn_id IS 'request';
COMMENT ON COLUMN raw.turn_token.kind IS 'prompt or output';
COMMENT ON COLUMN raw.turn_token.shared_turn_id IS 'earlier request whose prompt this one begins as; NULL for none';
COMMENT ON COLUMN raw.turn_token.shared_tokens IS 'how many tokens of that prompt come first';
COMMENT ON COLUMN raw.turn_token.tokens IS 'token ids that follow them';

CREATE TABLE raw.cache_turn (
  run_id UUID, turn_id INTEGER, block_size_tokens BIGINT, common_tokens BIGINT, block_ideal_tokens BIGINT, text_ideal_tokens BIGINT,
  predicted_tokens BIGINT,
  divergence_message INTEGER, divergence_role VARCHAR, divergence_character BIGINT, divergence_token BIGINT, divergence_reference VARCHAR,
  divergence_before VARCHAR, divergence_now VARCHAR);
COMMENT ON TABLE raw.cache_turn IS 'what the prefix cache could have done for each request, worked out from token ids';
COMMENT ON COLUMN raw.cache_turn.run_id IS 'run';
COMMENT ON COLUMN raw.cache_turn.turn_id IS 'request';
COMMENT ON COLUMN raw.cache_turn.block_size_tokens IS 'tokens in a KV block';
COMMENT ON COLUMN raw.cache_turn.common_tokens IS 'longest common prefix with any earlier prompt and reply since the cache was cold';
COMMENT ON COLUMN raw.cache_turn.block_ideal_tokens IS 'whole blocks of it, at least one token computed: the most that vLLM can hit';
COMMENT ON COLUMN raw.cache_turn.text_ideal_tokens IS 'tokens whose text was sent before as it stands: the most that any cache could hit';
COMMENT ON COLUMN raw.cache_turn.predicted_tokens IS 'hits of a model of the cache with this block size and pool';
COMMENT ON COLUMN raw.cache_turn.divergence_message IS
  'index of the message where the prompt leaves what was sent before, from 0; NULL when it extends it, and where the messages are the '
  'same and their tokens are not';
COMMENT ON COLUMN raw.cache_turn.divergence_role IS 'role of that message';
COMMENT ON COLUMN raw.cache_turn.divergence_character IS 'characters of that message that are the same';
COMMENT ON COLUMN raw.cache_turn.divergence_token IS 'tokens of the prompt that are the same; NULL when it extends what was sent before';
COMMENT ON COLUMN raw.cache_turn.divergence_reference IS 'turn (compared with the turn before) or session (with another session)';
COMMENT ON COLUMN raw.cache_turn.divergence_before IS 'text around that place, before; NULL with --no-text';
COMMENT ON COLUMN raw.cache_turn.divergence_now IS 'text around that place, now; NULL with --no-text';

CREATE TABLE raw.cache_miss (run_id UUID, turn_id INTEGER, cause VARCHAR, tokens BIGINT);
COMMENT ON TABLE raw.cache_miss IS 'why prompt tokens had to be computed; the causes of a request add up to its missed tokens';
COMMENT ON COLUMN raw.cache_miss.run_id IS 'run';
COMMENT ON COLUMN raw.cache_miss.turn_id IS 'request';
COMMENT ON COLUMN raw.cache_miss.cause IS
  'new_text, changed_text, template_rewrote_history, retokenized, block_rounding, last_token, evicted, isolation or unknown';
COMMENT ON COLUMN raw.cache_miss.tokens IS 'tokens';
