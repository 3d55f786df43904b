//go:build !unix

package hammer

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
