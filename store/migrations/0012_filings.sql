-- filings: materials that windows received, verified and filed (package cases, Filing). holder is a keyed digest, by which they are found;
-- person, sealed, is the holder and who verified. withdrawn and erased are 0 where it stands and its file is there. Rows are never deleted.
CREATE TABLE filings (
	id           TEXT   PRIMARY KEY,
	type         TEXT   NOT NULL,
	holder       BYTEA  NOT NULL,
	person       BYTEA  NOT NULL,
	case_no      TEXT   NOT NULL REFERENCES cases (no),
	matter       TEXT   NOT NULL,
	material     TEXT   NOT NULL,
	department   TEXT   NOT NULL,
	by_system    TEXT   NOT NULL,
	proof        TEXT   NOT NULL,
	verification TEXT   NOT NULL,
	level        TEXT   NOT NULL,
	digest       TEXT   NOT NULL,
	media        TEXT   NOT NULL,
	size         BIGINT NOT NULL,
	filed        BIGINT NOT NULL,
	valid_until  TEXT   NOT NULL,
	keep_until   BIGINT NOT NULL,
	withdrawn    BIGINT NOT NULL,
	withdrawn_by TEXT   NOT NULL,
	erased       BIGINT NOT NULL,
	pos          BIGINT NOT NULL,
	mac          BYTEA  NOT NULL
);
CREATE INDEX filings_holder ON filings (holder, type, filed);
CREATE INDEX filings_due ON filings (keep_until) WHERE erased = 0;

-- filed_files: the file of a filing, sealed (SM4-GCM, with the id of its key before it). It is deleted when the filing is withdrawn or
-- its retention ends.
CREATE TABLE filed_files (
	id     TEXT  PRIMARY KEY,
	sealed BYTEA NOT NULL
);
