-- marks the sessions that did not end, of a run whose process is gone
UPDATE raw.session SET status = 'failed' WHERE status = 'running' AND run_id = ?::UUID
