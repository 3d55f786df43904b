package gateway

import (
	"testing"

	"go.uber.org/goleak"
)

// No call, source or loop outlives its test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
