package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"oncegate/store/sqldb"
)

// NewSchema makes a PostgreSQL schema for one use, as of a demonstration or a load test, in the database of a connection URL. It returns
// the URL whose search_path is that schema, and a function that drops it with all that is in it. The name begins with a word of the caller.
func NewSchema(ctx context.Context, dsn, word string) (own string, drop func() error, err error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", nil, errors.New("make a schema: the connection string is not a postgres:// URL") // the cause would repeat its password
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return "", nil, errors.New("make a schema: the connection string cannot be parsed")
	}
	schema := word + "_" + strings.ToLower(rand.Text()[:12])
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA "+schema); err != nil {
		return "", nil, errors.Join(fmt.Errorf("make a schema: %w", sqldb.Explain(err)), db.Close())
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String(), func() error {
		_, err := db.ExecContext(context.Background(), "DROP SCHEMA "+schema+" CASCADE")
		return errors.Join(err, db.Close())
	}, nil
}
