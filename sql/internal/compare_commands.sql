-- the command lines that recorded the runs $1 and $2, each once, those of $1 first
SELECT argv
FROM raw.run
WHERE argv IS NOT NULL AND list_contains(string_split($1 || ',' || $2, ','), run_id::VARCHAR)
GROUP BY argv
ORDER BY min(CASE WHEN list_contains(string_split($1, ','), run_id::VARCHAR) THEN 0 ELSE 1 END), min(started_at)
