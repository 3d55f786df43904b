-- case_received: how is also a state that a check found (package cases, LastState); then digest is ''.

-- cases are listed for who registered them, by the time of their registration and their number, which never change.
CREATE INDEX cases_registrar ON cases (registrar, registered, no);
