-- the table that says which migrations and views a file has
CREATE SCHEMA IF NOT EXISTS raw;
CREATE TABLE IF NOT EXISTS raw.migration (version INTEGER, name VARCHAR, sha256 VARCHAR, applied_at TIMESTAMP);
COMMENT ON TABLE raw.migration IS 'which schema this file has';
COMMENT ON COLUMN raw.migration.version IS 'number of the migration; 0 is the text of gpus.sql and the views';
COMMENT ON COLUMN raw.migration.name IS 'file it came from';
COMMENT ON COLUMN raw.migration.sha256 IS 'hash of that file';
COMMENT ON COLUMN raw.migration.applied_at IS 'when, UTC';
