-- Views: sessions.

CREATE OR REPLACE VIEW session_starts AS -- of runs of an older wb, only the usage of the first turn is known
SELECT s.run_id, s.session_id, coalesce(s.first_cached_tokens, t.cached_tokens) AS first_cached_tokens,
  coalesce(s.first_cached_tokens, t.cached_tokens) > least(64, t.prompt_tokens // 2) AS began_warm
FROM raw.session s LEFT JOIN (
  SELECT run_id, session_id, cached_tokens, prompt_tokens FROM raw.turn
  WHERE turn = 1 AND status = 'ok' AND prompt_tokens BETWEEN 1 AND 16777216
    AND (cached_tokens IS NULL OR cached_tokens BETWEEN 0 AND prompt_tokens)) t USING (run_id, session_id);
COMMENT ON VIEW session_starts IS 'what the server had cached of each session when it began';
COMMENT ON COLUMN session_starts.began_warm IS
  'its first prompt was in the cache: more than 64 tokens of it, or more than half, which is more than the start of a chat template '
  'that all prompts share; NULL where cached tokens are not reported';

CREATE OR REPLACE VIEW sessions AS
SELECT s.run_id, r.run, r.simulated, s.session_id, s.conversation, s.conversation_sha256, s.variant AS placement,
  s.repeat, s.warmup, s.isolation,
  x.first_cached_tokens, x.began_warm, s.client_user, s.start_id, s.status,
  s.started_ns, s.ended_ns, r.started_at + to_microseconds(s.started_ns // 1000) AS wall_time,
    (s.ended_ns - s.started_ns) / 1e9 AS duration_s
FROM raw.session s JOIN runs r USING (run_id) JOIN session_starts x USING (run_id, session_id);
COMMENT ON VIEW sessions IS 'one row per session: a conversation played from its first turn to its last';
COMMENT ON COLUMN sessions.placement IS
  'where its documents stand: system, first-user, before-last or append; without documents, the first placement of the run';
COMMENT ON COLUMN sessions.wall_time IS 'start, wall clock, UTC';
COMMENT ON COLUMN sessions.duration_s IS 'from start to end';
