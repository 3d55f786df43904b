-- Statements are written in PostgreSQL's words and end with a semicolon at the end of a line. For SQLite, BIGINT becomes
-- INTEGER, BYTEA becomes BLOB, and tables are STRICT,
-- and for PostgreSQL WITHOUT ROWID falls away. Times are microseconds since 1970 UTC; 0 means "not stated".

-- logs: the logs kept here, each with its head. The row is what a batch locks. checkpoint is '' until the log is created;
-- below index erased nothing is erasable any more.
CREATE TABLE logs (
	number     BIGINT PRIMARY KEY,
	origin     TEXT   NOT NULL UNIQUE,
	size       BIGINT NOT NULL,
	sm3        BYTEA  NOT NULL,
	sha256     BYTEA  NOT NULL,
	checkpoint TEXT   NOT NULL,
	batch      BYTEA  NOT NULL,
	asked      BIGINT NOT NULL,
	erased     BIGINT NOT NULL
);

-- records: one wide row per record. pos is the log's number times 2^40 plus the index. hashes are the leaf's SM3 and SHA-256
-- hash. system, jti and expires are the claimed call, NULL once purged. erasable is 1 while a request or person part has its
-- blob; time is the record's. search is the audit.Index, evidence the sealed parts; both are empty for a leaf of the log's own.
CREATE TABLE records (
	pos      BIGINT PRIMARY KEY,
	hashes   BYTEA  NOT NULL,
	system   TEXT,
	jti      TEXT,
	expires  BIGINT,
	time     BIGINT NOT NULL,
	erasable BIGINT NOT NULL,
	leaf     BYTEA  NOT NULL,
	search   TEXT   NOT NULL,
	evidence BYTEA  NOT NULL
);
-- jti first: it starts with the time, so that all systems' claims of a moment fall on one page.
CREATE UNIQUE INDEX records_claim ON records (jti, system) WHERE jti IS NOT NULL;

-- claims: one row. Calls that expire at or before horizon are refused unread; purged is the pos below which no claim is left.
CREATE TABLE claims (
	one     BIGINT PRIMARY KEY CHECK (one = 1),
	horizon BIGINT NOT NULL,
	purged  BIGINT NOT NULL
);
INSERT INTO claims (one, horizon, purged) VALUES (1, 0, 0);

CREATE TABLE tiles (
	log    BIGINT NOT NULL,
	tree   BIGINT NOT NULL,
	level  BIGINT NOT NULL,
	idx    BIGINT NOT NULL,
	hashes BYTEA  NOT NULL,
	PRIMARY KEY (log, tree, level, idx)
);

-- batches: the committed batches of the last day or so, for commits whose outcome was not known. hour keeps the key in time order.
CREATE TABLE batches (
	hour BIGINT NOT NULL,
	id   BYTEA  NOT NULL,
	PRIMARY KEY (hour, id)
) WITHOUT ROWID;

-- cases: parties is sealed.
CREATE TABLE cases (
	no          TEXT   PRIMARY KEY,
	matter      TEXT   NOT NULL,
	parts       TEXT   NOT NULL,
	registrar   TEXT   NOT NULL,
	attestation TEXT   NOT NULL,
	parties     BYTEA  NOT NULL,
	accepted    BIGINT NOT NULL,
	registered  BIGINT NOT NULL,
	closed      BIGINT NOT NULL,
	revision    BIGINT NOT NULL
);

-- case_received: what the window received instead of a license; pos is the record that brought it, n its place there.
CREATE TABLE case_received (
	case_no   TEXT   NOT NULL REFERENCES cases (no),
	pos       BIGINT NOT NULL,
	n         BIGINT NOT NULL,
	matter    TEXT   NOT NULL,
	material  TEXT   NOT NULL,
	how       TEXT   NOT NULL,
	digest    TEXT   NOT NULL,
	by_system TEXT   NOT NULL,
	at        BIGINT NOT NULL,
	PRIMARY KEY (case_no, pos, n)
);

-- consents: holder is a keyed digest, sealed_holder the holder itself.
CREATE TABLE consents (
	id            TEXT   PRIMARY KEY,
	holder        BYTEA  NOT NULL,
	sealed_holder BYTEA  NOT NULL,
	system        TEXT   NOT NULL,
	types         TEXT   NOT NULL,
	matters       TEXT   NOT NULL,
	expires       BIGINT NOT NULL,
	evidence      TEXT   NOT NULL,
	digest        TEXT   NOT NULL,
	given         BIGINT NOT NULL,
	withdrawn     BIGINT NOT NULL
);
CREATE INDEX consents_holder ON consents (holder, system, given);

CREATE TABLE versions (
	subject    BYTEA  NOT NULL,
	number     BIGINT NOT NULL,
	type       TEXT   NOT NULL,
	issuer     TEXT   NOT NULL,
	serial     TEXT   NOT NULL,
	identifier TEXT   NOT NULL UNIQUE,
	content    BYTEA  NOT NULL,
	jwt        TEXT   NOT NULL,
	key_id     TEXT   NOT NULL,
	signed     BIGINT NOT NULL,
	status     TEXT   NOT NULL,
	status_at  BIGINT NOT NULL,
	list       TEXT   NOT NULL,
	slot       BIGINT NOT NULL,
	PRIMARY KEY (subject, number),
	UNIQUE (list, slot)
);
CREATE INDEX versions_not_valid ON versions (list) WHERE status <> 'valid';

-- status_lists: the lists that have a slot taken, by the record of their first version.
CREATE TABLE status_lists (
	list TEXT   PRIMARY KEY,
	pos  BIGINT NOT NULL,
	n    BIGINT NOT NULL
);

-- snapshots: the last source record of a question, sealed by the register.
CREATE TABLE snapshots (
	key     BYTEA  PRIMARY KEY,
	sealed  BYTEA  NOT NULL,
	as_of   BIGINT NOT NULL,
	expires BIGINT NOT NULL
);
CREATE INDEX snapshots_expires ON snapshots (expires);

CREATE TABLE policy_sets (
	digest TEXT  PRIMARY KEY,
	files  BYTEA NOT NULL
);

-- projection: how many records of a log hits covers.
CREATE TABLE projection (
	log     BIGINT PRIMARY KEY,
	covered BIGINT NOT NULL
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
