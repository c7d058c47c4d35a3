-- What a run was told, as values: a plan that was cut short is gone on with by this, not by the flags of a command line.
ALTER TABLE raw.run ADD COLUMN spec VARCHAR;
COMMENT ON COLUMN raw.run.spec IS
  'JSON of the spec of the execution that the run is a part of, without secrets: repeats, the flags that were given, and the settings '
  'of each cell, which only the first run of a plan holds; NULL in runs of a wb before schema 12';
