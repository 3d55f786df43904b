package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/license"
)

// TestVersionsAfterRestore restores an old backup and recovers the log: no identifier that was given away and lost is given
// again to another content, no slot to another license, and what was lost is not called valid.
func TestVersionsAfterRestore(t *testing.T) {
	c := newCity(t)
	move := func(address string) {
		t.Helper()
		if err := installtest.Exec(filepath.Join(c.Dir, "sources/market.db"), `update licenses set addr = '`+address+`' where no = 'L-1'`); err != nil {
			t.Fatal(err)
		}
	}
	s := c.serve()
	s.register("SP-1")
	first := s.query("SP-1")
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := install.Backup(t.Context(), c.Main, backup, nil); err != nil {
		t.Fatal(err)
	}
	move("示例路 2 号")
	lost := s.query("SP-1")
	if lost.Version != 2 || placeOf(t, lost.License).URI != placeOf(t, first.License).URI {
		t.Fatalf("the changed license is version %d", lost.Version)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	database := s.current.Load().setup.Store.Path
	for _, name := range []string{database + "-wal", database + "-shm", database} {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(backup)
	if err == nil {
		err = os.WriteFile(database, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c.Main, Options{}); err == nil {
		t.Fatal("the node opened a database of before its mark")
	}
	origin := s.current.Load().setup.Log.Origin
	c.Edit(config.MainFile, origin, origin+"-2")
	if _, err := install.Recover(t.Context(), c.Main, install.RecoverOptions{At: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}

	s = c.serve()
	again := s.query("SP-1") // the content that the lost version had
	if again.Identifier == lost.Identifier || again.Identifier == first.Identifier || again.Version != 2 {
		t.Errorf("after the recovery version %d is %s, lost was %s", again.Version, again.Identifier, lost.Identifier)
	}
	move("示例路 3 号")
	next := s.query("SP-1")
	a, err := license.ParseIdentifier(again.Identifier)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := license.ParseIdentifier(next.Identifier); err != nil || n.Serial() != a.Serial() || next.Version != 3 {
		t.Errorf("the version after is %d %s, %v: the new serial goes on", next.Version, next.Identifier, err)
	}
	old, fresh := placeOf(t, first.License), placeOf(t, next.License)
	if fresh.URI == old.URI || !strings.HasSuffix(fresh.URI, "-2") {
		t.Errorf("new versions stand in %s, those of before in %s", fresh.URI, old.URI)
	}
	was, is := fetch(t, old.URI, ""), fetch(t, fresh.URI, "")
	for name, got := range map[string][2]license.Status{
		"version 1, known":   {was.status(t, old), license.Superseded},
		"version 2, lost":    {was.status(t, placeOf(t, lost.License)), license.Superseded},
		"version 2, again":   {is.status(t, placeOf(t, again.License)), license.Superseded},
		"version 3":          {is.status(t, fresh), license.Valid},
		"never given, fresh": {is.status(t, placed{Index: (fresh.Index + 1) % 1000}), license.Valid},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %s, want %s", name, got[0], got[1])
		}
	}
}
