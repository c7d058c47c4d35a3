-- value of a tag of a run; empty where it has none
SELECT coalesce(any_value(value), '') FROM raw.run_tag WHERE run_id = ?::UUID AND key = ?
