-- newest migration of a file, and the hash of the views that were applied last; NULL for none
SELECT coalesce(max(version), 0), max(sha256) FILTER (WHERE version = 0) FROM raw.migration
