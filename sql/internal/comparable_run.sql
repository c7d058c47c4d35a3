-- the newest run before this one that can be compared with it: the same conversations, kind of server and model, and enough sessions ($2)
WITH played AS (
  SELECT s.run_id, list(DISTINCT s.conversation ORDER BY s.conversation) AS conversations, max(coalesce(s.client_user, 0)) AS users,
    count(*) AS sessions
  FROM raw.session s WHERE NOT s.warmup AND EXISTS (
    SELECT 1 FROM raw.turn t WHERE t.run_id = s.run_id AND t.session_id = s.session_id AND t.status = 'ok')
  GROUP BY s.run_id)
SELECT o.run, r.run FROM runs r JOIN played p USING (run_id) JOIN played q ON q.conversations = p.conversations AND q.users = p.users
    AND least(p.sessions, q.sessions) >= $2
  JOIN runs o ON o.run_id = q.run_id
WHERE r.run_id::VARCHAR = $1 AND o.run_id <> r.run_id AND o.started_at < r.started_at AND o.status = 'ok'
  AND o.simulated IS NOT DISTINCT FROM r.simulated AND o.engine IS NOT DISTINCT FROM r.engine AND o.model IS NOT DISTINCT FROM r.model
ORDER BY o.started_at DESC LIMIT 1
