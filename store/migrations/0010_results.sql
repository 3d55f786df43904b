-- case_received: how 'result' is a license with which the case ended; material is its type, person holds it, sealed, and digest is a keyed
-- digest of its holder, by which it is found.
CREATE INDEX case_results ON case_received (digest, material) WHERE how = 'result';
