-- forgets which views were applied last
DELETE FROM raw.migration WHERE version = 0
