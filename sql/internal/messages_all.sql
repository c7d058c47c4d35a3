-- hashes of all texts of a file, and whether the texts themselves are there
SELECT sha256, bool_or(content IS NOT NULL) FROM raw.message GROUP BY sha256
