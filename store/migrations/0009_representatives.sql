-- case_received: how is also the kind of a representative (package cases, Representative); then digest is the mandate's, and person,
-- sealed, who it is and until when. NULL for everything else: then it is no part of what the row's tag is over.
ALTER TABLE case_received ADD COLUMN person BYTEA;
