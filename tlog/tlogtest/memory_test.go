package tlogtest_test

import (
	"testing"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

func open(*testing.T) tlog.Storage { return new(tlogtest.Memory) }

func TestMemory(t *testing.T) {
	tlogtest.TestStorage(t, open)
	tlogtest.TestClaims(t, open, func(key string) any { return tlogtest.Claim(key) }, tlogtest.ErrClaimed)
}
