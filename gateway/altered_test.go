package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/store"
	"oncegate/tlog"
)

// An intruder writes the database of a world and holds no key.
type intruder struct {
	*world
	db       *sql.DB
	postgres bool
}

// onEach runs a test on a world over SQLite and, if ONCEGATE_TEST_POSTGRES holds a connection URL, over PostgreSQL in a schema of its own.
func onEach(t *testing.T, test func(t *testing.T, i *intruder)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "oncegate.db")
		w := newWorldIn(t, store.Config{Path: path})
		test(t, &intruder{w, openDatabase(t, "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"), false})
	})
	dsn := os.Getenv("ONCEGATE_TEST_POSTGRES")
	if dsn == "" {
		t.Log("ONCEGATE_TEST_POSTGRES is not set: nothing is tried on PostgreSQL")
		return
	}
	t.Run("postgres", func(t *testing.T) {
		u := must(url.Parse(dsn))(t)
		var random [6]byte
		_, _ = rand.Read(random[:])
		schema := "gateway_" + hex.EncodeToString(random[:])
		admin := openDatabase(t, "pgx", dsn)
		must(admin.Exec("CREATE SCHEMA " + schema))(t)
		t.Cleanup(func() { _, _ = admin.Exec("DROP SCHEMA " + schema + " CASCADE") })
		q := u.Query()
		q.Set("search_path", schema)
		u.RawQuery = q.Encode()
		w := newWorldIn(t, store.Config{Driver: store.Postgres, DSN: u.String()})
		test(t, &intruder{w, openDatabase(t, "pgx", u.String()), true})
	})
}

func openDatabase(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db := must(sql.Open(driver, dsn))(t)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

var placeholder = regexp.MustCompile(`\?`)

// do runs a statement, which must change something.
func (i *intruder) do(statement string, args ...any) {
	i.t.Helper()
	if n := must(must(i.db.Exec(i.rebound(statement), args...))(i.t).RowsAffected())(i.t); n == 0 {
		i.t.Fatalf("%s: nothing was changed", statement)
	}
}

func (i *intruder) rebound(statement string) string {
	if !i.postgres {
		return statement
	}
	n := 0
	return placeholder.ReplaceAllStringFunc(statement, func(string) string { n++; return "$" + strconv.Itoa(n) })
}

// A row of the records.
type stolen struct{ leaf, hashes []byte }

// pos is the key of a record of the world's only log.
func pos(index uint64) int64 { return 1<<40 + int64(index) }

func (i *intruder) read(index uint64) (s stolen) {
	i.t.Helper()
	if err := i.db.QueryRow(i.rebound("SELECT leaf, hashes FROM records WHERE pos = ?"), pos(index)).Scan(&s.leaf, &s.hashes); err != nil {
		i.t.Fatal(err)
	}
	return s
}

func (i *intruder) write(index uint64, s stolen) {
	i.t.Helper()
	i.do("UPDATE records SET leaf = ?, hashes = ? WHERE pos = ?", s.leaf, s.hashes, pos(index))
}

// hashesOf are those of a leaf in both trees, as a row keeps them.
func hashesOf(leaf []byte) []byte {
	three, two := sm.Digest([]byte{0}, leaf), sha256.Sum256(append([]byte{0}, leaf...))
	return append(three[:], two[:]...)
}

// tile makes the hash of a record in its full tile of either tree be another, and returns what undoes it.
func (i *intruder) tile(index uint64, hashes []byte) (undo func()) {
	i.t.Helper()
	var old [][]byte
	for n, tree := range tlog.Trees {
		var tile []byte
		if err := i.db.QueryRow(i.rebound("SELECT hashes FROM tiles WHERE tree = ? AND level = 0 AND idx = ?"), int64(tree), int64(index/tlog.TileWidth)).Scan(&tile); err != nil {
			i.t.Fatal(err)
		}
		old = append(old, bytes.Clone(tile))
		copy(tile[index%tlog.TileWidth*tlog.HashSize:], hashes[n*tlog.HashSize:(n+1)*tlog.HashSize])
		i.do("UPDATE tiles SET hashes = ? WHERE tree = ? AND level = 0 AND idx = ?", tile, int64(tree), int64(index/tlog.TileWidth))
	}
	return func() {
		i.t.Helper()
		for n, tree := range tlog.Trees {
			i.do("UPDATE tiles SET hashes = ? WHERE tree = ? AND level = 0 AND idx = ?", old[n], int64(tree), int64(index/tlog.TileWidth))
		}
	}
}

// lied is the record of another system, as somebody would write it who wants to put the blame there.
func (i *intruder) lied(leaf []byte) []byte {
	i.t.Helper()
	lie := bytes.Replace(leaf, []byte(`"system":"food-approval"`), []byte(`"system":"land-approval"`), 1)
	if _, err := audit.ParseRecord(lie); err != nil || bytes.Equal(lie, leaf) {
		i.t.Fatalf("the lie is no record: %v", err)
	}
	return lie
}

// fill appends records of the gateway's own until the log has so many.
func (i *intruder) fill(size uint64) {
	i.t.Helper()
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i.size() < size {
				if _, err := i.recorder.RecordOwn(i.t.Context(), audit.Own{Operation: "test.fill"}); err != nil {
					i.t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// asked is a query of food-approval with the id by which its receipt is found.
func (i *intruder) asked() (jti string, index uint64) {
	i.t.Helper()
	body := i.bodyOf(query("business-license", company, "SP-1"))
	jti = must(token.NewID(i.now(), nil))(i.t)
	a := i.send("POST", queryPath, body, i.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.ID = jti }))
	read[api.QueryAnswer](i.t, a)
	return jti, a.index
}

// A way is a call by which a record is shown, signed or proven.
type way struct {
	system, method, path string
	body                 any
}

// ways are all of them for one record.
func (i *intruder) ways(jti string, index uint64) map[string]way {
	record := "/v1/audit/records/" + strconv.FormatUint(index, 10)
	period := map[string]any{"from": api.At(i.now().Add(-60 * 60e9)), "to": api.At(i.now().Add(60 * 60e9))}
	bundle, first := "/log/tile/entries/00"+strconv.FormatUint(index/tlog.TileWidth, 10), index/tlog.TileWidth*tlog.TileWidth
	if size := i.size(); size-first < tlog.TileWidth {
		bundle += ".p/" + strconv.FormatUint(size-first, 10)
	}
	return map[string]way{
		"search":              {"audit-office", "POST", "/v1/audit/search", map[string]any{"limit": 1000}},
		"search for a person": {"audit-office", "POST", "/v1/audit/search", map[string]any{"holder": company, "limit": 1000}},
		"export":              {"audit-office", "POST", "/v1/audit/export", period},
		"evidence":            {"audit-office", "POST", record, map[string]any{"why": "complaint", "persons": true, "request": true}},
		"erasure":             {"audit-office", "POST", record + "/erase", map[string]any{"why": "objection"}},
		"receipt":             {"audit-office", "GET", record + "/receipt", nil},
		"lost receipt":        {"food-approval", "POST", "/v1/receipts", map[string]any{"jti": jti}},
		"bundle":              {"audit-office", "GET", bundle, nil},
	}
}

// refusedAll makes every call about a record and wants the code; nothing of the record is in the answers.
func (i *intruder) refusedAll(name, code, jti string, index uint64, lie []byte) (refusals []uint64) {
	i.t.Helper()
	for way, c := range i.ways(jti, index) {
		a := i.call(c.system, c.method, c.path, c.body)
		if code == "record-unavailable" {
			if a.problem.Code != code || a.problem.Receipt != nil || a.answer != nil {
				i.t.Errorf("%s: %s: %d %s", name, way, a.status, a.body)
			}
			continue
		}
		if strings.HasPrefix(name, "hash") && a.status == http.StatusOK && strings.HasSuffix(way, "receipt") {
			i.verified(name, a) // it takes no hash of the leaf's own
			continue
		}
		want := code
		if finds := way == "search" || way == "search for a person" || way == "export"; finds && name == "removed" {
			want = "tables-altered" // what search is made of lacks a record
		}
		if a.problem.Code != want || a.status != http.StatusInternalServerError || a.record.AnswerDigest == "" {
			i.t.Errorf("%s: %s: want %s and a record, got %d %.300s", name, way, want, a.status, a.body)
			continue
		}
		if way == "search for a person" && (len(a.record.Uses) != 1 || a.record.Uses[0].Decision != outcomeDenied) {
			i.t.Errorf("%s: the record does not say who was looked for: %+v", name, a.record.Uses)
		}
		if lie != nil && bytes.Contains(a.body, lie) {
			i.t.Errorf("%s: %s repeats the lie", name, way)
		}
		refusals = append(refusals, a.index)
	}
	return refusals
}

// verified verifies the receipt that an answer is about.
func (i *intruder) verified(name string, a answered) {
	i.t.Helper()
	receipt := must(tlog.ParseReceipt(must(marshal(read[api.ReceiptAnswer](i.t, a).Receipt))(i.t)))(i.t)
	if _, err := tlog.VerifyReceipt(receipt, i.trust.Trust); err != nil {
		i.t.Errorf("%s: a receipt was handed out that does not verify: %v", name, err)
	}
}

// because looks into the evidence of refusals, once it can be read again.
func (i *intruder) because(name string, refusals []uint64) {
	i.t.Helper()
	for _, index := range refusals {
		if e := must(i.auditor.Evidence(i.t.Context(), index))(i.t); !strings.Contains(string(e.Reasons), "log-altered") && !strings.Contains(string(e.Reasons), "tables-altered") {
			i.t.Errorf("%s: record %d does not say why: %s", name, index, e.Reasons)
		}
	}
}

// eventually waits for what a poll of the log brings.
func (i *intruder) eventually(done func() bool) {
	i.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			i.t.Fatal("it did not come about")
		}
	}
}

// shownAll makes every call about a record but the order to erase, and wants an answer.
func (i *intruder) shownAll(name, jti string, index uint64) {
	i.t.Helper()
	for way, c := range i.ways(jti, index) {
		if way == "erasure" {
			continue
		}
		if a := i.call(c.system, c.method, c.path, c.body); a.status != http.StatusOK {
			i.t.Errorf("%s: %s: %d %s", name, way, a.status, a.body)
		}
	}
}

// Whoever can write the database and holds no key has no record shown, signed into a report or proven that is not the one that was
// logged: every way out of the log refuses with one stable code, which is recorded, and goes on when the rows are right again.
func TestAlteredRecordIsNotShown(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		i.accept("SP-1")
		oldJTI, old := i.asked()
		otherJTI, other := i.asked()
		i.fill(tlog.TileWidth + 3)
		jti, index := i.asked() // in the tile at the edge, which is not stored
		for name, attack := range map[string]struct {
			jti   string
			index uint64
			do    func(index uint64, true stolen) (undo func())
		}{
			"words": {jti, index, func(index uint64, true stolen) func() {
				i.write(index, stolen{i.lied(true.leaf), true.hashes})
				return nil
			}},
			"words of a record in a full tile": {oldJTI, old, func(index uint64, true stolen) func() {
				i.write(index, stolen{i.lied(true.leaf), true.hashes})
				return nil
			}},
			"hash": {jti, index, func(index uint64, true stolen) func() {
				i.write(index, stolen{true.leaf, hashesOf([]byte("another"))})
				return nil
			}},
			"hash of one tree": {jti, index, func(index uint64, true stolen) func() {
				i.write(index, stolen{true.leaf, append(bytes.Clone(true.hashes[:tlog.HashSize]), hashesOf([]byte("another"))[tlog.HashSize:]...)})
				return nil
			}},
			"words and hash": {jti, index, func(index uint64, true stolen) func() {
				lie := i.lied(true.leaf)
				i.write(index, stolen{lie, hashesOf(lie)})
				return nil
			}},
			"words, hash and tile": {oldJTI, old, func(index uint64, true stolen) func() {
				lie := i.lied(true.leaf)
				i.write(index, stolen{lie, hashesOf(lie)})
				return i.tile(index, hashesOf(lie))
			}},
			"two records swapped": {otherJTI, other, func(index uint64, true stolen) func() {
				another := i.read(old)
				i.write(index, another)
				i.write(old, true)
				undo, undoOther := i.tile(index, another.hashes), func() {}
				undoOther = i.tile(old, true.hashes)
				return func() {
					undoOther()
					undo()
					i.write(old, another)
				}
			}},
			"no record": {jti, index, func(index uint64, true stolen) func() {
				i.write(index, stolen{[]byte(`{"system":"nobody"}`), true.hashes})
				return nil
			}},
		} {
			truth := i.read(attack.index)
			undo := attack.do(attack.index, truth)
			refusals := i.refusedAll(name, "log-altered", attack.jti, attack.index, []byte(`"system":"land-approval"`))
			if undo != nil {
				undo()
			}
			i.write(attack.index, truth)
			i.because(name, refusals)
			i.shownAll(name+", put right", attack.jti, attack.index)
		}
		if line := i.lines.String(); !strings.Contains(line, "stored log does not match its checkpoint") {
			t.Error("the operator was not told")
		}
	})
}

// A record that was removed is not one that there never was: nobody is told that a call left no record.
func TestRemovedRecordIsMissed(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		i.accept("SP-1")
		jti, index := i.asked()
		i.call("audit-office", "POST", "/v1/audit/search", map[string]any{}) // the index knows it
		i.do("UPDATE records SET pos = ? WHERE pos = ?", pos(1e9), pos(index))
		refusals := i.refusedAll("removed", "log-altered", jti, index, nil)
		// The row stands somewhere now, and is nothing there that the log ever had.
		if a := i.audit("records/1000000000", map[string]any{"why": "x"}); a.problem.Code != "log-altered" {
			t.Errorf("a row beyond the log: %d %s", a.status, a.body)
		}
		i.do("UPDATE records SET pos = ? WHERE pos = ?", pos(index), pos(1e9))
		i.because("removed", refusals)
		i.shownAll("put back", jti, index)
		i.refused(i.audit("records/1000000000", map[string]any{"why": "x"}), "log-entry-not-found")
	})
}

// A lost receipt is found through a table: whoever changes it has no other system's record handed out.
func TestLostReceiptOfAnotherSystem(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		i.accept("SP-1")
		jti, index := i.asked()
		theirs := i.call("land-approval", "POST", queryPath, query("business-license", company, "SP-1")).index
		i.do("UPDATE claims SET pos = ? WHERE pos = ?", pos(theirs)+1e6, pos(theirs))
		i.do("UPDATE claims SET pos = ? WHERE pos = ?", pos(theirs), pos(index))
		i.refused(i.call("food-approval", "POST", "/v1/receipts", map[string]any{"jti": jti}), "tables-altered")
	})
}

// An older head that is put back proves nothing, and nothing is recorded under it: so nothing at all is answered.
func TestOlderHeadProvesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		i.accept("SP-1")
		jti, index := i.asked()
		head := must(i.world.db.Log().Head(t.Context()))(t)
		i.asked()
		newest := must(i.world.db.Log().Head(t.Context()))(t)
		put := func(h tlog.Head) {
			i.do("UPDATE logs SET size = ?, sm3 = ?, sha256 = ?, checkpoint = ?, batch = ? WHERE number = 1", int64(h.Size), h.SM3, h.SHA256, h.Checkpoint, h.Batch[:])
		}
		put(head)
		i.refusedAll("older head", "record-unavailable", jti, index, nil)
		if a := i.send("GET", "/log/checkpoint", nil, ""); a.status != http.StatusServiceUnavailable {
			t.Errorf("the older checkpoint: %d %s", a.status, a.body)
		}
		if _, err := i.auditor.Search(t.Context(), audit.Ask{}); err == nil {
			t.Error("the older log was searched")
		}
		put(newest)
		i.eventually(func() bool { return i.log.Distrusted() == nil })
		i.shownAll("newest head", jti, index)
	})
}
