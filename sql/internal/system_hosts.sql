-- machines of the selected runs, for the system part of a report
SELECT r.run, h.* FROM raw.host h JOIN selected_runs r USING (run_id) ORDER BY r.started_at
