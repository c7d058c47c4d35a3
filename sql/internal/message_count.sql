-- how many texts a file has
SELECT count(*) FROM raw.message
