-- Rows are believed only with a tag, and must leave no gap (package store, hit.go and whole.go). Rows of before this step have none:
-- they go, and Follow makes them again of the records.
DROP TABLE hits;
DROP TABLE projection;

-- projection: made is when it was begun; none comes after one that was begun later. mac is over all columns.
CREATE TABLE projection (
	log     BIGINT PRIMARY KEY,
	made    BIGINT NOT NULL,
	covered BIGINT NOT NULL,
	hashes  BYTEA  NOT NULL,
	mac     BYTEA  NOT NULL
);

-- hits: every position below covered has its rows, n from 0 on. uses is how many rows the record has; a record without uses has one
-- with empty columns. uses is 0 for a leaf of the log's own: one row too, which no search finds. mac is over all columns.
CREATE TABLE hits (
	pos          BIGINT NOT NULL,
	n            BIGINT NOT NULL,
	uses         BIGINT NOT NULL,
	time         BIGINT NOT NULL,
	system       TEXT   NOT NULL,
	operation    TEXT   NOT NULL,
	operator     TEXT   NOT NULL,
	matter       TEXT   NOT NULL,
	case_no      TEXT   NOT NULL,
	material     TEXT   NOT NULL,
	need         BIGINT NOT NULL,
	license_type TEXT   NOT NULL,
	decision     TEXT   NOT NULL,
	holder       TEXT   NOT NULL,
	mac          BYTEA  NOT NULL,
	PRIMARY KEY (pos, n)
) WITHOUT ROWID;
CREATE INDEX hits_time ON hits (time);
CREATE INDEX hits_system ON hits (system, pos);
CREATE INDEX hits_operator ON hits (operator, pos);
CREATE INDEX hits_matter ON hits (matter, pos);
CREATE INDEX hits_case ON hits (case_no, pos);
CREATE INDEX hits_type ON hits (license_type, pos);
CREATE INDEX hits_decision ON hits (decision, pos);
CREATE INDEX hits_holder ON hits (holder, pos);
-- The newest record of an operation is asked for at each start.
CREATE INDEX hits_operation ON hits (operation, pos);
