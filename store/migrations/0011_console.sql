-- console_sessions: signed-in persons of the console. id is the SM3 of the value of the browser's cookie; sealed is the session, bound to
-- the other columns; revision rises with each write. A row is gone after expires, which no session outlives.
CREATE TABLE console_sessions (
	id       BYTEA  PRIMARY KEY,
	revision BIGINT NOT NULL,
	expires  BIGINT NOT NULL,
	sealed   BYTEA  NOT NULL
);
CREATE INDEX console_sessions_expires ON console_sessions (expires);

-- console_kept: what a session keeps (replies, a post that met the lock), by its owner and key, both digests, and what may be used once
-- only (codes of a second factor, answers of identity providers), with an empty value. Bound to the other columns.
CREATE TABLE console_kept (
	owner   BYTEA  NOT NULL,
	key     BYTEA  NOT NULL,
	expires BIGINT NOT NULL,
	sealed  BYTEA  NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX console_kept_expires ON console_kept (expires);
