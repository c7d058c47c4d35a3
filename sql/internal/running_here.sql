-- runs that a machine is said to have under way, with their processes
SELECT run_id::VARCHAR, pid, process_started_at FROM raw.run WHERE status = 'running' AND hostname = ?
