-- The newest record of an operation is asked for at each start.
CREATE INDEX hits_operation ON hits (operation, pos);
