-- case_received: how is also that the case's file was handed over to the archive (package cases, HandOver); digest is that of the package.
-- Files of filed materials are erased once it is so.
CREATE INDEX case_received_over ON case_received (case_no) WHERE how = 'handed-over';
