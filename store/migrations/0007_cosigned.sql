-- cosigned: checkpoints of a log with the cosignatures of witnesses, about one a minute, kept. Public, and without a tag of ours: a note
-- verifies by its signatures.
CREATE TABLE cosigned (
	log  BIGINT NOT NULL,
	size BIGINT NOT NULL,
	note TEXT   NOT NULL,
	PRIMARY KEY (log, size)
);
