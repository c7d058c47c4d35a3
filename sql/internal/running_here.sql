-- runs of a machine that are marked as running, with their processes
SELECT run_id::VARCHAR, pid, process_started_at FROM raw.run WHERE status = 'running' AND hostname = ?
