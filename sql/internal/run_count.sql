-- how many runs a history has
SELECT count(*) FROM raw.run
