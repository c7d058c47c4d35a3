-- marks a session that was cut short and is played again
UPDATE raw.session SET status = 'repeated' WHERE run_id = ?::UUID AND session_id = ?
