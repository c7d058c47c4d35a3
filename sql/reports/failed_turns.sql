-- group: health
-- answers: Which turns failed, and why?
-- title: Turns that did not end well
-- about: What went wrong, turn by turn.
--   None of these turns counts in any figure.
--   Warm-up is included.
-- var: runs = latest
SELECT run, conversation, repeat, turn, status, http_status, error, round(e2e_ms, 1) AS e2e_ms, completion_tokens, wall_time
FROM turns WHERE status <> 'ok' AND run_id IN (SELECT run_id FROM selected_runs) ORDER BY run, turn_id;
