-- group: health
-- answers: What went wrong during a run?
-- title: Events
-- about: What a reader of the run must know: samplers that failed, moments when wb did not run, settings that could not be kept.
-- var: runs = latest
SELECT run, round(t_ns / 1e9, 3) AS elapsed_s, kind, source, turn_id, message FROM events
WHERE run_id IN (SELECT run_id FROM selected_runs) ORDER BY run, t_ns;
