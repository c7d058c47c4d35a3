-- what was asked in each measured turn of the selected runs; nth is that of the report compare_turns
-- script: the conversation's text and the placement of its documents, which decide the first message but for an isolation line.
-- history: a hash of the messages after the first, so that an isolation line does not count; the script decides those of the first turn.
--   Where messages are not recorded, it is known only that scripted histories are the same.
WITH sent AS (
  SELECT run_id, turn_id, md5(string_agg(sha256, ' ' ORDER BY position)) AS history
  FROM raw.turn_message WHERE position > 1 AND run_id IN (SELECT run_id FROM selected_runs) GROUP BY ALL),
scripted AS (SELECT run_id FROM raw.setting WHERE source = 'plan' AND name = 'replies' AND value = 'scripted')
SELECT t.run_id, t.conversation, t.placement,
  dense_rank() OVER (PARTITION BY t.run_id, t.conversation, t.placement ORDER BY t.session_id) AS nth, t.turn,
  nullif(s.conversation_sha256, '') || ' ' || coalesce(t.placement, '') AS script,
  CASE WHEN t.turn = 1 THEN 'none' WHEN m.history IS NOT NULL THEN m.history
    WHEN t.run_id IN (SELECT run_id FROM scripted) THEN 'scripted' END AS history
FROM measured_turns t
  JOIN raw.session s ON s.run_id = t.run_id AND s.session_id = t.session_id
  LEFT JOIN sent m ON m.run_id = t.run_id AND m.turn_id = t.turn_id
