-- says of the sessions of a run whose process is gone that they did not end
UPDATE raw.session SET status = 'failed' WHERE status = 'running' AND run_id = ?::UUID
