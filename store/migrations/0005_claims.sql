-- claims, until now the row of the horizon, becomes the table of the used call ids. A program of before this step takes no call
-- on the database any more: its batches ask claims for the horizon.
ALTER TABLE claims RENAME TO claim_horizon;

-- claim_horizon: one row. Calls that expire at or before horizon are refused unread.
ALTER TABLE claim_horizon DROP COLUMN purged;

-- claims: the calls that were taken, until they have expired; pos is the record that a call left.
CREATE TABLE claims (
	jti     TEXT   NOT NULL,
	system  TEXT   NOT NULL,
	expires BIGINT NOT NULL,
	pos     BIGINT NOT NULL,
	PRIMARY KEY (jti, system)
) WITHOUT ROWID;
INSERT INTO claims (jti, system, expires, pos) SELECT jti, system, expires, pos FROM records WHERE jti IS NOT NULL;
CREATE INDEX claims_expires ON claims (expires);

-- records: system, jti and expires are NULL from here on. SQLite cannot drop a column without writing every row again.
UPDATE records SET system = NULL, jti = NULL, expires = NULL WHERE jti IS NOT NULL;
DROP INDEX records_claim;

-- Retention finds what is old enough by time, in whichever log it stands. A row leaves the index when it is erased.
CREATE INDEX records_erasable ON records (time) WHERE erasable = 1;
ALTER TABLE logs DROP COLUMN erased;
