-- What search needs can be made again: it has a schema of its own (migrations/search), and on SQLite a file of its own.
DROP TABLE hits;
DROP TABLE projection;
