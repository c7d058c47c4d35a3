-- which hashes of a comma-separated list a file has, and whether the texts themselves are there
SELECT sha256, bool_or(content IS NOT NULL) FROM raw.message
WHERE list_contains(string_split(?, ','), sha256) GROUP BY sha256
