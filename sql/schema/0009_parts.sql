-- Token ids in parts, so that no row is much larger than another.
-- DuckDB writes rows again when it merges row groups, and it goes by the number of rows, not by their bytes.

ALTER TABLE raw.turn_token ADD COLUMN part INTEGER;
COMMENT ON COLUMN raw.turn_token.part IS
  'which part of these ids the row holds: 0, 1, … of at most 64 ids each; NULL in runs of an older wb: all of them';
COMMENT ON COLUMN raw.turn_token.shared_turn_id IS 'earlier request whose prompt this one begins as; NULL for none; in part 0 only';
COMMENT ON COLUMN raw.turn_token.shared_tokens IS 'how many tokens of that prompt come first; in part 0 only, else 0';
COMMENT ON COLUMN raw.turn_token.tokens IS 'token ids that follow them, or the part before';
