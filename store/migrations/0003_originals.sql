-- originals: the sealed document of a version, sealed once more by the register; digest is its SM3. It is gone after expires.
CREATE TABLE originals (
	identifier TEXT   PRIMARY KEY,
	digest     BYTEA  NOT NULL,
	sealed     BYTEA  NOT NULL,
	made       BIGINT NOT NULL,
	expires    BIGINT NOT NULL
);
CREATE INDEX originals_expires ON originals (expires);
