-- starts of servers of the selected runs, for the system part of a report
SELECT s.* EXCLUDE (run_id) FROM server_starts s WHERE s.run_id IN (SELECT run_id FROM selected_runs) ORDER BY s.run, s.start_id
