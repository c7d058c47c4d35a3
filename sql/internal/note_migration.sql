-- notes a migration that was applied: number, name, hash, when
INSERT INTO raw.migration VALUES (?, ?, ?, ?)
