//go:build unix

package node

import (
	"os/signal"
	"syscall"
)

// outliveFileLimit makes a write beyond the limit of file sizes an error, which refuses a call, instead of a signal, which
// would end the process.
func outliveFileLimit() { signal.Ignore(syscall.SIGXFSZ) }
