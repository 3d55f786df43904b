package sqldb

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"oncegate/license"
)

// A login opens connections by the DSN as it stands in its file. While a password is rotated, the database and the file change one after
// the other: a connection that is refused meanwhile waits a moment for the DSN that leads in, so that no call fails.
type login struct {
	config Config
	newest atomic.Pointer[openedBy]
}

// An openedBy is a DSN with what opens connections by it.
type openedBy struct {
	dsn string
	driver.Connector
}

const (
	rotationWait = time.Second / 2       // for the other half of a rotation
	rotationLook = 25 * time.Millisecond // how often the file is read meanwhile
)

func newLogin(c Config, dsn string, connector driver.Connector) *login {
	l := &login{config: c}
	l.newest.Store(&openedBy{dsn, connector})
	return l
}

// Connect implements driver.Connector.
func (l *login) Connect(ctx context.Context) (driver.Conn, error) {
	by := l.newest.Load()
	conn, err := by.Connect(ctx)
	if err == nil || l.config.DSNSecret.IsZero() || classify(err, "").Cause != license.Authentication {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, rotationWait)
	defer cancel()
	for {
		if dsn, unread := l.config.DSNSecret.Read(); unread == nil && dsn != by.dsn {
			if connector, invalid := l.config.connect(dsn); invalid == nil {
				fresh := &openedBy{dsn, connector}
				l.newest.Store(fresh)
				return fresh.Connect(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(rotationLook):
		}
	}
}

// Driver implements driver.Connector.
func (l *login) Driver() driver.Driver { return l.newest.Load().Driver() }
