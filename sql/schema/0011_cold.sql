-- Whether sessions began cold, how they were isolated, and how long an event may have waited to be read.

ALTER TABLE raw.session ADD COLUMN first_cached_tokens BIGINT;
COMMENT ON COLUMN raw.session.first_cached_tokens IS
  'prompt tokens of its first turn that the server had cached, by the usage, else by the server''s counters; NULL: not told, or '
  'recorded by an older wb';
COMMENT ON COLUMN raw.session.isolation IS
  'what kept it apart from other sessions'' prefix cache: restart, reset, salt, line (a separate line at the head of its prompts) or '
  'none; what was really done';
COMMENT ON COLUMN raw.chunk.read_delay_ns IS
  'at most how long the event lay in the kernel before t_ns, ns: by the kernel''s stamp (Linux, SO_TIMESTAMPING) of the last segment of '
  'the read where the event came last in it, since the read before where others came after it; NULL where that is not known. In runs of '
  'a wb before schema 11 always of the last segment';
COMMENT ON COLUMN raw.truth.t_ns IS
  'ns since run start where raw.setting has truth_clock = run; else since the simulator was made, and only differences within a request '
  'mean something';
