-- What wb itself adds to times between the socket and its reader, and what resources it holds.

ALTER TABLE raw.chunk ADD COLUMN read_delay_ns BIGINT;
COMMENT ON COLUMN raw.chunk.read_delay_ns IS
  'how long the bytes lay in the kernel before t_ns, ns, of the last segment that the read brought: by the kernel''s stamp (Linux, '
  'SO_TIMESTAMPING); NULL where it does not say';
ALTER TABLE raw.process_sample ADD COLUMN goroutines INTEGER;
COMMENT ON COLUMN raw.process_sample.goroutines IS 'goroutines of wb; NULL for other processes';
ALTER TABLE raw.process_sample ADD COLUMN open_files INTEGER;
COMMENT ON COLUMN raw.process_sample.open_files IS 'files and sockets that wb holds open; NULL for other processes';
