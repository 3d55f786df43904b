-- stated is what the source states of a version, ordered what its department ordered of it ('' for nothing), status what holds of
-- both. changes counts the changes of a status list.
ALTER TABLE versions ADD COLUMN stated TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN ordered TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN ordered_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE status_lists ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;
UPDATE versions SET stated = status;
