-- gives a run to a process that continues it: pid, start of the process, now, the run's id
UPDATE raw.run SET status = 'running', error = NULL, ended_at = NULL, pid = ?, process_started_at = ?,
  executions = coalesce(executions, 1) + 1, changed_at = ?
WHERE run_id = ?::UUID
