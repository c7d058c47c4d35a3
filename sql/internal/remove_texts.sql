-- removes the texts that no run refers to
DELETE FROM raw.message WHERE sha256 NOT IN (
  SELECT sha256 FROM raw.turn_message UNION ALL SELECT reply_sha256 FROM raw.turn WHERE reply_sha256 IS NOT NULL)
