-- sessions of a run, and whether they are done and need not be played again:
-- they ended well, or they failed and the server answered other sessions afterwards
SELECT session_id, conversation, conversation_sha256, variant, repeat, status,
  (s.status = 'ok' OR (s.status = 'failed' AND s.ended_ns IS NOT NULL AND EXISTS (
    SELECT 1 FROM raw.turn l WHERE l.run_id = s.run_id AND l.status = 'ok' AND l.submit_ns > s.ended_ns))) AS done
FROM raw.session s WHERE run_id = ?::UUID AND NOT warmup
