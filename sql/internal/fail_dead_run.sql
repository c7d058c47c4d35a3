-- marks a run whose process is gone
UPDATE raw.run SET status = 'failed', error = 'the wb process ended without closing the run' WHERE run_id = ?::UUID
