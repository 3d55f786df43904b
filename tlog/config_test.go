package tlog

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

type namedKey struct {
	name string
	id   uint32
}

func (k namedKey) Name() string                                 { return k.name }
func (k namedKey) KeyHash() uint32                              { return k.id }
func (k namedKey) Sign(context.Context, []byte) ([]byte, error) { return nil, nil }
func (k namedKey) Verify([]byte, []byte) bool                   { return false }

// TestConfig: what is not given has a default, what cannot be meant is refused with its reason.
func TestConfig(t *testing.T) {
	good := Config{
		Origin: "a", Storage: struct{ Storage }{}, NewSM3: sha256.New, SM2: namedKey{"a", 1}, Ed25519: namedKey{"a", 2}, Own: []note.Verifier{namedKey{"a", 9}, namedKey{"a", 2}},
	}
	c, err := good.withDefaults()
	if err != nil || c.MarkEvery != 100*time.Millisecond || c.MaxBatch != 512 || c.Queue != 4096 || c.Patience != 5*time.Second || c.Poll != time.Second || c.Rand == nil || c.Logger != slog.Default() {
		t.Errorf("%+v, %v", c, err)
	}
	given := good
	given.MarkEvery, given.MaxBatch, given.Queue, given.Patience, given.Poll, given.Rand, given.Logger = 1, 2, 3, 4, 5, strings.NewReader(""), slog.New(slog.DiscardHandler)
	if c, err := given.withDefaults(); err != nil || c.MarkEvery != 1 || c.MaxBatch != 2 || c.Queue != 3 || c.Patience != 4 || c.Poll != 5 || c.Rand != given.Rand || c.Logger != given.Logger {
		t.Errorf("%+v, %v", c, err)
	}
	for want, changes := range map[string][]func(*Config){
		"no key name":         {func(c *Config) { c.Origin = "" }, func(c *Config) { c.Origin = "a b" }},
		"are required":        {func(c *Config) { c.Storage = nil }, func(c *Config) { c.NewSM3 = nil }, func(c *Config) { c.SM2 = nil }, func(c *Config) { c.Ed25519 = nil }},
		"own verifiers":       {func(c *Config) { c.Own = nil }, func(c *Config) { c.Own = c.Own[:1] }},
		"not named":           {func(c *Config) { c.SM2 = namedKey{"b", 1} }, func(c *Config) { c.Ed25519 = namedKey{"b", 2} }},
		"the same id":         {func(c *Config) { c.SM2 = namedKey{"a", 2} }},
		"a limit is negative": {func(c *Config) { c.MarkEvery = -1 }, func(c *Config) { c.MaxBatch = -1 }, func(c *Config) { c.Queue = -1 }, func(c *Config) { c.Patience = -1 }, func(c *Config) { c.Poll = -1 }},
	} {
		for i, change := range changes {
			bad := good
			change(&bad)
			if _, err := bad.withDefaults(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %d: %v", want, i, err)
			}
		}
	}
}
