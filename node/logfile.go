package node

import (
	"context"
	"errors"
	"os"

	"oncegate/store"
)

// errNoKeys says why nothing personal of a store can be read that was opened without keys.
var errNoKeys = errors.New("the store was opened without its keys")

// keyless is the sealer of a store that is only read for its log.
type keyless struct{}

func (keyless) Seal([]byte, []byte) ([]byte, error) { return nil, errNoKeys }
func (keyless) Open([]byte, []byte) ([]byte, error) { return nil, errNoKeys }
func (keyless) Tag([]byte) []byte                   { return nil }
func (keyless) CheckTag([]byte, []byte) error       { return errNoKeys }

// OpenLogFile opens the SQLite database of a stopped node, or a copy of it, without any key: for verifying the log in it.
func OpenLogFile(ctx context.Context, path, origin string) (*store.DB, error) {
	if _, err := os.Stat(path); err != nil { // store.Open would make it
		return nil, errors.New(pathReason(err))
	}
	return store.Open(ctx, store.Config{Path: path, Log: origin, Sealer: keyless{}, Digest: func([]byte) []byte { return make([]byte, 32) }})
}
