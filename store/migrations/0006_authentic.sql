-- Rows are believed only with a tag that nobody makes without keys: mac, over the table's name and the row's columns (package
-- store, authentic.go), and pos, the record that last changed the row. NULL is a row of before this step: DB.Adopt takes it on.

-- logs: sums is sealed, and bound to the checkpoint: what the rows of the tables add up to, so that none goes and no older one
-- comes back.
ALTER TABLE logs ADD COLUMN sums BYTEA;

-- records: changes is what the record's changes digest is of ('' for nothing).
ALTER TABLE records ADD COLUMN changes TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN mac BYTEA;

ALTER TABLE claims ADD COLUMN mac BYTEA;

-- A program of before this step would write rows without tags. It takes no call on the database any more: its batches ask for
-- the horizon under its old name.
ALTER TABLE claim_horizon RENAME TO horizon;
ALTER TABLE horizon ADD COLUMN mac BYTEA;

ALTER TABLE cases ADD COLUMN pos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cases ADD COLUMN mac BYTEA;
ALTER TABLE case_received ADD COLUMN mac BYTEA;
ALTER TABLE consents ADD COLUMN pos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE consents ADD COLUMN mac BYTEA;

-- versions: jwt_digest is a keyed digest of jwt, which stands in its place under the tag: whoever makes a status list reads many rows.
ALTER TABLE versions ADD COLUMN jwt_digest BYTEA;
ALTER TABLE versions ADD COLUMN pos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN mac BYTEA;

-- status_lists: changed is the record that last changed the list, not_valid, sealed, what its rows that are not valid add up to.
ALTER TABLE status_lists ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE status_lists ADD COLUMN not_valid BYTEA;
ALTER TABLE status_lists ADD COLUMN mac BYTEA;

ALTER TABLE policy_sets ADD COLUMN pos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE policy_sets ADD COLUMN mac BYTEA;
ALTER TABLE snapshots ADD COLUMN mac BYTEA;
ALTER TABLE originals ADD COLUMN mac BYTEA;
