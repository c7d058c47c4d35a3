-- removes a tag from a run
DELETE FROM raw.run_tag WHERE run_id = ?::UUID AND key = ?
