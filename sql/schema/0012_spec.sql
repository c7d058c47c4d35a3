-- The settings of a run as values: wb run --resume continues a plan with these, and not with the flags of a command line.
ALTER TABLE raw.run ADD COLUMN spec VARCHAR;
COMMENT ON COLUMN raw.run.spec IS
  'JSON of the spec of the execution that the run is a part of, without secrets: repeats, the flags that were given, and the settings '
  'of each cell, which only the first run of a plan holds; NULL in runs of a wb before schema 12';
