-- runs of an execution, with the last ids that each of them has used
SELECT run_id::VARCHAR, name, coalesce(cell, ''), status, started_at,
  coalesce((SELECT max(turn_id) FROM raw.turn t WHERE t.run_id = r.run_id), 0),
  coalesce((SELECT max(session_id) FROM raw.session s WHERE s.run_id = r.run_id), 0),
  coalesce((SELECT max(scrape_id) FROM raw.scrape s WHERE s.run_id = r.run_id), 0),
  coalesce((SELECT max(start_id) FROM raw.engine_start s WHERE s.run_id = r.run_id), 0),
  coalesce((SELECT any_value(try_cast(value AS INTEGER)) FROM raw.setting x
    WHERE x.run_id = r.run_id AND source = 'plan' AND name = 'sessions_per_repeat'), 0)
FROM raw.run r WHERE plan_id = ?::UUID ORDER BY started_at, run_id
