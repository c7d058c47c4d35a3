-- Which of two copies of a run is newer, when histories of several machines are joined. And which host readings are rarer than others.

ALTER TABLE raw.run ADD COLUMN executions INTEGER;
COMMENT ON COLUMN raw.run.executions IS
  'how often the run was begun: 1, and one more each time it was resumed; of two copies the one with more is the newer. NULL in runs of '
  'an older wb: 1';
ALTER TABLE raw.run ADD COLUMN changed_at TIMESTAMP;
COMMENT ON COLUMN raw.run.changed_at IS
  'when the run last ended, was resumed or labelled, UTC, by the clock of the machine that did it: of two copies begun equally often, '
  'the later one is the newer. NULL in runs of an older wb: when it ended';
COMMENT ON COLUMN raw.host_sample.load1 IS 'load average of the last minute; read once a second, NULL in between';
COMMENT ON COLUMN raw.host_sample.disk_read_bytes IS 'read from disks since boot; read once a second, NULL in between';
COMMENT ON COLUMN raw.host_sample.disk_write_bytes IS 'written to disks since boot; read once a second, NULL in between';
COMMENT ON COLUMN raw.host_sample.net_received_bytes IS 'received on all interfaces since boot; read once a second, NULL in between';
COMMENT ON COLUMN raw.host_sample.net_sent_bytes IS 'sent on all interfaces since boot; read once a second, NULL in between';
COMMENT ON COLUMN raw.host_sample.memory_used_bytes IS 'memory in use; read once a second, NULL in between';
COMMENT ON COLUMN raw.host_sample.memory_available_bytes IS 'memory that programs can still get; read once a second, NULL in between';
COMMENT ON COLUMN raw.host_sample.swap_used_bytes IS 'swap in use; read once a second, NULL in between';
