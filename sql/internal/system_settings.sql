-- settings of the selected runs, for the system part of a report
SELECT r.run, s.source, s.name, s.value FROM raw.setting s JOIN selected_runs r USING (run_id) ORDER BY r.started_at, s.source, s.name
