-- What search needs, made of the records and made again at any time. The words are those of the schema beside it.

-- projection: how many records of a log hits covers, -1 while it is being emptied, and the hashes of the last of them, empty
-- while there is none: a projection of other records is of no use.
CREATE TABLE projection (
	log     BIGINT PRIMARY KEY,
	covered BIGINT NOT NULL,
	hashes  BYTEA  NOT NULL
);

-- hits: what search may find a record by, a row for each use; a record without uses has one row with empty columns.
CREATE TABLE hits (
	pos          BIGINT NOT NULL,
	n            BIGINT NOT NULL,
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
