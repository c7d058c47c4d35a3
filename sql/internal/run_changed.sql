-- notes that this copy of a run was changed, at a time later than the one before, whatever the clock says
UPDATE raw.run SET changed_at = greatest(?, coalesce(changed_at, ended_at, started_at) + INTERVAL 1 MICROSECOND) WHERE run_id = ?::UUID
