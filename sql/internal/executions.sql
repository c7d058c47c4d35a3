-- plans that were begun in a file, the newest first
SELECT plan_id::VARCHAR, any_value(plan), coalesce(arg_max(spec, length(spec)), ''), min(started_at), count(*),
  count(*) FILTER (WHERE status <> 'ok')
FROM raw.run WHERE plan_id IS NOT NULL AND plan IS NOT NULL
GROUP BY plan_id ORDER BY min(started_at) DESC, plan_id
