//go:build !unix && !windows

package sqldb

import (
	"errors"
	"os"
)

// LockFile refuses: without a lock that ends with its process, two could write one file.
func LockFile(string) (*os.File, error) {
	return nil, errors.New("sqlite is served on Unix and Windows only; use postgres here")
}
