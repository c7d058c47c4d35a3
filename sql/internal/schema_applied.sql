-- sets when the schema came into a file
UPDATE raw.migration SET applied_at = ?
