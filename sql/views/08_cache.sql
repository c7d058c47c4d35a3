-- Views: what the prefix cache did, and what it could have done.

CREATE OR REPLACE VIEW cache_turns AS
SELECT t.run_id, t.run, t.simulated, t.session_id, t.conversation, t.placement, t.repeat, t.warmup, t.repeated, t.isolation, t.turn_id,
  t.turn, t.documents, t.prompt_tokens, t.cached_tokens,
  c.block_size_tokens, c.common_tokens, c.block_ideal_tokens, c.text_ideal_tokens, c.predicted_tokens,
    t.cached_tokens = c.predicted_tokens AS as_predicted,
  t.cached_tokens / nullif(t.prompt_tokens, 0) AS hit_ratio, c.block_ideal_tokens / nullif(t.prompt_tokens, 0) AS block_ideal_ratio,
    c.text_ideal_tokens / nullif(t.prompt_tokens, 0) AS text_ideal_ratio,
  c.divergence_message, c.divergence_role, c.divergence_character, c.divergence_token, c.divergence_reference, c.divergence_before,
    c.divergence_now, t.status, t.wall_time
FROM turns t JOIN raw.cache_turn c USING (run_id, turn_id);
COMMENT ON VIEW cache_turns IS 'what the prefix cache did for each request and what it could have done';
COMMENT ON COLUMN cache_turns.block_ideal_ratio IS 'what whole blocks allow, 0 to 1';
COMMENT ON COLUMN cache_turns.text_ideal_ratio IS 'what equal text would allow, 0 to 1';
COMMENT ON COLUMN cache_turns.as_predicted IS 'the server hit exactly what the model of its cache predicts';

CREATE OR REPLACE VIEW cache_misses AS
SELECT t.run_id, t.run, t.simulated, t.session_id, t.conversation, t.placement, t.repeat, t.warmup, t.repeated, t.turn_id, t.turn, t.status,
  m.cause, m.tokens
FROM turns t JOIN raw.cache_miss m USING (run_id, turn_id);
COMMENT ON VIEW cache_misses IS 'why prompt tokens had to be computed, by request and cause';
