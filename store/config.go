package store

import (
	"errors"
	"fmt"
	"time"
)

// The drivers that Config.Driver names.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// A Config says which database, which log in it, and who seals and digests persons.
type Config struct {
	Driver string // SQLite (also "") or Postgres
	Path   string // SQLite: the database file; its folder must exist
	DSN    string // PostgreSQL: connection string, URL or key=value form

	// Log is the origin of the log that the views belong to. A database keeps several after a recovery.
	Log string

	// Nodes is how many nodes share the database, 0 meaning 1. SQLite serves one.
	Nodes int
	// Standby says that the database is declared highly available: a synchronous standby is asked for.
	Standby bool

	// Sealer seals the columns that name persons, and authenticates rows.
	Sealer Sealer
	// UnknownKey is the error of Sealer.Open for a blob under a key that it does not have; nil: it says nothing of keys.
	UnknownKey error
	// Digest is a keyed digest (HMAC-SM3) of 32 bytes, under which persons are looked up and rows are weighed in sums. Its key
	// never changes: another one makes consents unfindable by holder, and every sum wrong.
	Digest func(data []byte) []byte
	// Alarm is told what was met in the database that is not ours (ErrAltered), nil for nobody. It says nothing of the row's content.
	// It must not call the DB.
	Alarm func(table, what string)

	Now     func() time.Time // nil: time.Now
	Readers int              // connections that read; 0: 8
	Follow  int              // most records that one Follow takes; 0: 1024
}

// A Sealer encrypts and authenticates one value. The associated data name its place and are not stored: a value
// moved to another row, column or table does not open. Implementations are safe for concurrent use.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
	// Tag authenticates data under the current key; CheckTag proves that any of the keys did. A tag has at most 64 bytes, and is the
	// same for the same data and key.
	Tag(data []byte) []byte
	CheckTag(tag, data []byte) error
}

// check returns the configuration with its defaults, or every fault in it.
func (c Config) check() (Config, error) {
	var faults []error
	if c.Driver == "" {
		c.Driver = SQLite
	}
	switch c.Driver {
	case SQLite:
		if c.Path == "" {
			faults = append(faults, errors.New("no database file is named"))
		}
		if c.Nodes > 1 {
			faults = append(faults, errors.New("sqlite serves one node; several need postgres"))
		}
	case Postgres:
		if c.DSN == "" {
			faults = append(faults, errors.New("no connection string for postgres"))
		}
	default:
		faults = append(faults, fmt.Errorf("driver %q is neither sqlite nor postgres", c.Driver))
	}
	if c.Log == "" {
		faults = append(faults, errors.New("no log origin is named"))
	}
	if c.Sealer == nil || c.Digest == nil {
		faults = append(faults, errors.New("no sealer or no keyed digest for personal columns"))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Readers <= 0 {
		c.Readers = 8
	}
	if c.Follow <= 0 {
		c.Follow = 1024
	}
	return c, errors.Join(faults...)
}
