//go:build !unix

package sqldb

import (
	"errors"
	"os"
)

// lockFile refuses: without a lock that ends with its process, two could write one file.
func lockFile(string) (*os.File, error) {
	return nil, errors.New("sqlite is served on unix systems only; use postgres here")
}
