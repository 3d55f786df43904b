-- case_received: cases are also listed for who worked on them (cases.list, handled).
CREATE INDEX case_received_by ON case_received (by_system, case_no);
