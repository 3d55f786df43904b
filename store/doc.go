// Package store keeps everything that must survive: both trees of the log, records with their sealed evidence, cases and
// consents, license versions, kept copies and policy sets. SQLite is the embedded default; PostgreSQL serves several nodes.
//
// One [DB] hands out small views: [DB.Log], [DB.Cases], [DB.Register] and [DB.Audit]. Only the log's view writes, and only
// in batches: an entry brings its leaf, its evidence and its changes, all of them commit together or none does. DB is the
// only place that knows what the values in audit.Entry.Changes mean.
//
// # What stands where
//
// A record is one wide row whose key rises with time, so that a batch touches neighbouring pages only; it is written again
// only when its evidence is erased. The calls that were taken stand in a narrow table of their own until they have expired.
// What search needs is a projection (tables hits and projection) that follows the log in small steps and can be rebuilt from
// the rows; on SQLite it stands in a second file, ending in -search, so that writing it holds no batch up, and is not synced.
// The parties of a case and the holder of a consent are sealed by [Sealer], bound to their table, column and row; a holder is
// looked up by [Config].Digest. Evidence and kept copies arrive sealed.
//
// # Durability
//
// SQLite runs in WAL mode with synchronous=FULL: an answered commit has been synced. One process owns the file, held by a
// lock file beside it. The write-ahead log is moved into the file outside of commits. On PostgreSQL the head's row is locked
// for a batch; lock, statement and idle timeouts of batches and answers are at most two seconds, while searches, retention and
// migrations have limits of their own; settings that could lose an answered commit are refused at start. A commit whose
// outcome is not known is reported as tlog.ErrUnknown, never guessed.
//
// # Backup and restore
//
// [DB.Backup] copies a consistent state of an SQLite database while it serves; for PostgreSQL use its own tools. To
// restore: stop the node, remove the files ending in -wal and -shm beside the database, put the copy in the database's
// place, start. What search has finds out by itself that it is of other records, and is made again. A copy older than what
// was answered stays behind the log's high-water mark: the node refuses to start on it until recovery opens a new origin,
// whose log stands beside the old one in the same database.
package store
