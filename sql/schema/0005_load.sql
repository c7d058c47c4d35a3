-- Several users at once, and sessions that arrive at a rate.

ALTER TABLE raw.session ADD COLUMN client_user INTEGER;
COMMENT ON COLUMN raw.session.client_user IS 'who of several users played it, from 1';
ALTER TABLE raw.turn ADD COLUMN intended_ns BIGINT;
COMMENT ON COLUMN raw.turn.intended_ns IS
  'when the rate wanted the session to begin, ns since run start, on its first turn; NULL in a closed loop, where a turn begins when '
  'the one before has ended';
