//go:build unix

package sqldb

import (
	"fmt"
	"os"
	"syscall"
)

// LockFile takes the lock beside a database, so that two processes never write one file. The kernel drops it with the
// process, however that ends; the file itself stays.
func LockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file cannot be opened: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return f, nil
}
