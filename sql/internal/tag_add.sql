-- gives a run a tag that it does not have
INSERT INTO raw.run_tag VALUES (?::UUID, ?, ?)
