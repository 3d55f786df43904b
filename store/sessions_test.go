package store

import (
	"slices"
	"testing"
)

// The nodes of a log that are connected to its database are known by their names. Commands, which have none, are not among them, nor is a node
// of another log, or one that has gone. On SQLite there is one, which needs no name.
func TestConnected(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		open := func(c Config, name string) *DB {
			c.Name = name
			db, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return db
		}
		connected := func(db *DB) []string {
			names, err := db.Connected(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return names
		}
		c := e.fresh(t)
		c.Log += t.TempDir() // tests beside this one share the server
		one := open(c, "v1 gate-1:7")
		if e.name == SQLite {
			if got := connected(one); len(got) != 0 {
				t.Errorf("%q", got)
			}
			return
		}
		open(c, "")
		two := open(c, "v2 gate-2:9")
		other := e.fresh(t)
		other.Log += t.TempDir()
		open(other, "v1 gate-3:1")
		if got := connected(one); !slices.Equal(got, []string{"v1 gate-1:7", "v2 gate-2:9"}) {
			t.Errorf("%q", got)
		}
		if err := two.Close(); err != nil {
			t.Fatal(err)
		}
		for !slices.Equal(connected(one), []string{"v1 gate-1:7"}) { // the server ends its sessions by itself
		}
	})
}
