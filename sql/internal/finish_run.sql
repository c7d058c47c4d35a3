-- closes a run: its status, the reason (empty for none), its end, its id
UPDATE raw.run SET status = $1, error = nullif($2, ''), ended_at = $3, changed_at = $3 WHERE run_id = $4::UUID
