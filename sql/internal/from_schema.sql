-- schema of the attached file
SELECT max(version) FROM _from.raw.migration
