-- GPUs of the selected runs, for the system part of a report
SELECT r.run, g.* FROM raw.gpu g JOIN selected_runs r USING (run_id) ORDER BY r.started_at, g.gpu
