package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/store/sqldb"
)

// A searched is a log whose records a test knows, so that it can tell whether search says all of them.
type searched struct {
	*bench
	t       *testing.T
	a       auditView
	entries []audit.Entry // by index; a leaf of the log's own has none
	alarms  []string
}

func newSearched(t *testing.T, e engine) *searched {
	s := &searched{t: t}
	c := e.fresh(t)
	c.Follow = 16 // several steps
	c.Alarm = func(table, what string) { s.alarms = append(s.alarms, table+": "+what) }
	s.bench = benchOn(t, mustOpen(t, c))
	s.a = auditView{s.db}
	s.grow(60)
	return s
}

// grow appends records of no, one or several uses, and leaves of the log's own.
func (s *searched) grow(records int) {
	s.t.Helper()
	for range records {
		i := len(s.entries)
		record := fmt.Appendf(nil, "record %d", i)
		if i%10 == 7 {
			if _, err := s.log.Append(s.t.Context(), record, nil); err != nil {
				s.t.Fatal(err)
			}
			s.entries = append(s.entries, audit.Entry{})
			continue
		}
		e := audit.Entry{Record: record, Index: audit.Index{
			Time: accepted.Add(time.Duration(i) * 10 * time.Minute), System: fmt.Sprint("system-", i%2), Operation: "licenses.query", Operator: "clerk", Uses: []audit.IndexUse{},
		}}
		for n := range i % 4 {
			e.Index.Uses = append(e.Index.Uses, audit.IndexUse{
				Matter: fmt.Sprint("matter-", n%2), Case: fmt.Sprint("case-", i/8), Material: fmt.Sprint(n), Need: 1, LicenseType: "id-card", Decision: "met", Holder: fmt.Sprint("holder-", (i+n)%5),
			})
		}
		if _, err := s.append(s.t.Context(), e); err != nil {
			s.t.Fatal(err)
		}
		s.entries = append(s.entries, e)
	}
}

// in runs SQL on what search has, or on the records.
func (s *searched) in(p *sqldb.Pool, text string, args ...any) {
	s.t.Helper()
	if _, err := p.DB().Exec(p.Rebind(text), args...); err != nil {
		s.t.Fatal(text, err)
	}
}

func (s *searched) search(text string, args ...any) {
	s.t.Helper()
	s.in(s.db.search.write, text, args...)
}
func (s *searched) records(text string, args ...any) { s.t.Helper(); s.in(s.db.write, text, args...) }
func (s *searched) pos(i int) int64                  { return position(s.db.number, uint64(i)) }

// questions are searches of all kinds.
func (s *searched) questions() (all []audit.Query) {
	at := func(i int) time.Time { return accepted.Add(time.Duration(i) * 10 * time.Minute) }
	for _, q := range []audit.Query{
		{}, {Limit: 7}, {Holder: "holder-2"}, {System: "system-1", Limit: 5}, {Matter: "matter-1", Decision: "met"}, {Case: "case-3"},
		{From: at(20), To: at(40)}, {Before: 33, Limit: 9}, {Holder: "nobody"}, {Operator: "clerk", To: at(10)}, {From: at(55)},
	} {
		if q.Limit == 0 {
			q.Limit = 1000
		}
		for _, whole := range []bool{false, true} {
			q.Whole = whole
			all = append(all, q)
		}
	}
	return all
}

// should is what a search finds among the first covered records.
func (s *searched) should(q audit.Query, covered uint64) (all []uint64) {
	for i, e := range slices.Backward(s.entries[:covered]) {
		if e.Record == nil || q.Before != 0 && uint64(i) >= q.Before || len(all) == q.Limit {
			continue
		}
		rows, err := hitsOf(s.pos(i), canonical.Micros(e.Index.Time), must(json.Marshal(e.Index)))
		if err != nil {
			s.t.Fatal(err)
		}
		if slices.ContainsFunc(rows, func(h hit) bool { return h.matches(q) }) {
			all = append(all, uint64(i))
		}
	}
	return all
}

// ask asks everything, after a Follow that covered so many. Each answer is right, or refused; it returns how many were refused. No
// question is refused because of what another found.
func (s *searched) ask(covered uint64) (refused int) {
	s.t.Helper()
	doubted, was := false, s.db.search.stale.Load()
	again := func() {
		doubted = s.db.search.stale.Swap(was) || doubted
	}
	defer func() {
		again()
		s.db.search.stale.Store(doubted)
	}()
	for _, q := range s.questions() {
		again()
		q.Covered = covered
		rows, err := s.a.Search(s.t.Context(), q)
		if err != nil {
			if !errors.Is(err, ErrAltered) && !errors.Is(err, audit.ErrBehind) {
				s.t.Errorf("%+v: %v", q, err)
			}
			refused++
			continue
		}
		var found []uint64
		for _, row := range rows {
			found = append(found, row.Index)
		}
		if diff := cmp.Diff(s.should(q, covered), found); diff != "" && covered > 0 {
			s.t.Errorf("%+v is answered wrongly (-want +got):\n%s", q, diff)
		}
	}
	for _, matter := range []string{"", "matter-1"} {
		again()
		rates, err := s.a.Reuse(s.t.Context(), accepted, accepted.Add(24*time.Hour), matter, covered)
		if err != nil {
			refused++
			continue
		}
		if diff := cmp.Diff(s.rates(matter, covered), rates); diff != "" && covered > 0 {
			s.t.Errorf("reuse of %q (-want +got):\n%s", matter, diff)
		}
	}
	return refused
}

func (s *searched) rates(matter string, covered uint64) (all []audit.Reuse) {
	var judged []cases.Judged
	for i, e := range s.entries[:covered] {
		for _, u := range e.Index.Uses {
			if e.Index.Time.Before(accepted.Add(24*time.Hour)) && (matter == "" || u.Matter == matter) {
				judged = append(judged, cases.Judged{Matter: u.Matter, Case: u.Case, Material: u.Material, Check: int64(i), Need: cases.Need(u.Need), State: cases.State(u.Decision)})
			}
		}
	}
	for _, r := range cases.TallyOf(judged).Matters() {
		all = append(all, audit.Reuse(r))
	}
	return all
}

// covered follows to the end and asks: all is right, and nothing refused.
func (s *searched) covered() {
	s.t.Helper()
	follow(s.t, s.db)
	if n := s.ask(uint64(len(s.entries))); n > 0 {
		s.t.Errorf("%d questions are refused", n)
	}
	if err := s.db.CheckSearch(s.t.Context(), nil); err != nil {
		s.t.Error(err)
	}
}

// healed asks after something was altered: at once, as somebody does whose Follow was just before, and step by step while search is made
// anew. There was an alarm, and in the end all is right.
func (s *searched) healed(harm func()) {
	s.t.Helper()
	s.covered()
	s.alarms = nil
	harm()
	s.ask(uint64(len(s.entries)))
	for range 100 {
		covered, size, err := s.a.Follow(s.t.Context())
		if err != nil {
			if !errors.Is(err, ErrAltered) {
				s.t.Fatal(err)
			}
			continue
		}
		if s.ask(covered); covered == size && len(s.alarms) > 0 {
			break
		}
	}
	if len(s.alarms) == 0 {
		s.t.Error("there was no alarm")
	}
	s.covered()
}

// TestAlteredHits changes what search has behind its back: no answer is short.
func TestAlteredHits(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := newSearched(t, e)
		harms := map[string]func(){
			"first row of three":  func() { s.search("DELETE FROM hits WHERE pos = ? AND n = 0", s.pos(31)) },
			"middle row of three": func() { s.search("DELETE FROM hits WHERE pos = ? AND n = 1", s.pos(31)) },
			"last row of three":   func() { s.search("DELETE FROM hits WHERE pos = ? AND n = 2", s.pos(31)) },
			"a record":            func() { s.search("DELETE FROM hits WHERE pos = ?", s.pos(31)) },
			"the oldest record":   func() { s.search("DELETE FROM hits WHERE pos = ?", s.pos(0)) },
			"the newest record":   func() { s.search("DELETE FROM hits WHERE pos = ?", s.pos(len(s.entries)-1)) },
			"the log's own leaf":  func() { s.search("DELETE FROM hits WHERE pos = ?", s.pos(17)) },
			"everything":          func() { s.search("DELETE FROM hits") },
			"no tag":              func() { s.search("UPDATE hits SET mac = ? WHERE pos = ?", []byte{}, s.pos(31)) },
			"another row's tag": func() {
				s.search("UPDATE hits SET mac = (SELECT mac FROM hits WHERE pos = ? AND n = 0) WHERE pos = ? AND n = 0", s.pos(30), s.pos(31))
			},
			"a row twice": func() {
				s.search("INSERT INTO hits SELECT pos, 3, uses, time, system, operation, operator, matter, case_no, material, need, license_type, decision, holder, mac FROM hits WHERE pos = ? AND n = 2", s.pos(31))
			},
			"a row behind": func() {
				s.search("INSERT INTO hits SELECT ?, n, uses, time, system, operation, operator, matter, case_no, material, need, license_type, decision, holder, mac FROM hits WHERE pos = ? AND n = 2", s.pos(len(s.entries)), s.pos(31))
				s.grow(1)
			},
			"two rows swapped": func() {
				s.search("UPDATE hits SET n = 9 WHERE pos = ? AND n = 0", s.pos(31))
				s.search("UPDATE hits SET n = 0 WHERE pos = ? AND n = 1", s.pos(31))
				s.search("UPDATE hits SET n = 1 WHERE pos = ? AND n = 9", s.pos(31))
			},
			"two records swapped": func() {
				s.search("UPDATE hits SET pos = ? WHERE pos = ?", s.pos(1<<30), s.pos(31))
				s.search("UPDATE hits SET pos = ? WHERE pos = ?", s.pos(31), s.pos(35))
				s.search("UPDATE hits SET pos = ? WHERE pos = ?", s.pos(35), s.pos(1<<30))
			},
			"one fewer, and said so": func() {
				s.search("DELETE FROM hits WHERE pos = ? AND n = 2", s.pos(31))
				s.search("UPDATE hits SET uses = 2 WHERE pos = ?", s.pos(31))
			},
		}
		for column, to := range map[string]any{
			"pos": s.pos(1 << 30), "n": 7, "uses": 0, "time": 1, "system": "x", "operation": "x", "operator": "x", "matter": "x", "case_no": "x", "material": "x",
			"need": 0, "license_type": "x", "decision": "x", "holder": "x", "mac": make([]byte, 20),
		} {
			harms["column "+column] = func() { s.search("UPDATE hits SET "+column+" = ? WHERE pos = ? AND n = 1", to, s.pos(31)) }
		}
		for name, harm := range harms {
			t.Run(name, func(t *testing.T) {
				s.t = t
				s.healed(harm)
			})
		}
	})
}

// TestAlteredPosition changes how far search has come.
func TestAlteredPosition(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := newSearched(t, e)
		type row struct {
			made, covered int64
			hashes, mac   []byte
		}
		read := func() (r row) {
			p := s.db.search.read
			if _, err := sqldb.One(s.t.Context(), p, []any{&r.made, &r.covered, &r.hashes, &r.mac}, "SELECT made, covered, hashes, mac FROM projection WHERE log = ?", s.db.number); err != nil {
				s.t.Fatal(err)
			}
			return r
		}
		put := func(r row) {
			s.search("UPDATE projection SET made = ?, covered = ?, hashes = ?, mac = ?", r.made, r.covered, r.hashes, r.mac)
		}
		var older []row
		for range 3 {
			if _, _, err := s.a.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			older = append(older, read())
		}
		follow(t, s.db)
		last := read()
		if err := s.a.Rebuild(t.Context()); err != nil { // all of them are from before this
			t.Fatal(err)
		}
		harms := map[string]func(){
			"raised":         func() { s.grow(5); s.search("UPDATE projection SET covered = covered + 5") },
			"beyond":         func() { s.search("UPDATE projection SET covered = covered + 1000") },
			"lowered":        func() { s.search("UPDATE projection SET covered = covered - 1") },
			"nothing":        func() { s.search("UPDATE projection SET covered = 0") },
			"emptying":       func() { s.search("UPDATE projection SET covered = -1") },
			"other hashes":   func() { s.search("UPDATE projection SET hashes = ?", make([]byte, 64)) },
			"made later":     func() { s.search("UPDATE projection SET made = made + 1") },
			"no tag":         func() { s.search("UPDATE projection SET mac = ?", []byte{}) },
			"gone":           func() { s.search("DELETE FROM projection") },
			"last of before": func() { put(last) },
			"last of before, with its rows": func() {
				s.search("DELETE FROM hits WHERE pos = ?", s.pos(31))
				put(last)
			},
			"a step back": func() {
				now := read()
				s.grow(1)
				follow(s.t, s.db)
				put(now)
			},
			"a step back, unknown to this process": func() {
				now := read()
				s.grow(1)
				follow(s.t, s.db)
				put(now)
				s.db.search.newest.Store(nil)
			},
			"a step back, and its rows gone": func() {
				now := read()
				s.grow(1)
				follow(s.t, s.db)
				s.search("DELETE FROM hits WHERE pos >= ?", s.pos(int(now.covered)))
				put(now)
			},
		}
		for i, r := range older {
			harms[fmt.Sprint("older ", i)] = func() { put(r) }
		}
		for name, harm := range harms {
			t.Run(name, func(t *testing.T) {
				s.t = t
				s.healed(harm)
			})
		}
	})
}

// TestAlteredRecords changes what search is made of, before it is: Follow stops there and search says how far it has come.
func TestAlteredRecords(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := newSearched(t, e)
		s.covered()
		before := len(s.entries)
		s.grow(20)
		at := before + 9
		var search, changes string
		var time int64
		var mac []byte
		if _, err := sqldb.One(t.Context(), s.db.read, []any{&time, &search, &changes, &mac}, "SELECT time, search, changes, mac FROM records WHERE pos = ?", s.pos(at)); err != nil {
			t.Fatal(err)
		}
		restore := func() {
			s.records("UPDATE records SET pos = ? WHERE pos = ?", s.pos(at), s.pos(1<<30))
			s.records("UPDATE records SET time = ?, search = ?, changes = ?, mac = ? WHERE pos = ?", time, search, changes, mac, s.pos(at))
		}
		for name, harm := range map[string]func(){
			"search": func() {
				s.records("UPDATE records SET search = ? WHERE pos = ?", `{"time":"2026-11-23T01:00:00Z","uses":[]}`, s.pos(at))
			},
			"no search": func() { s.records("UPDATE records SET search = '' WHERE pos = ?", s.pos(at)) },
			"time":      func() { s.records("UPDATE records SET time = time + 1 WHERE pos = ?", s.pos(at)) },
			"changes":   func() { s.records("UPDATE records SET changes = 'x' WHERE pos = ?", s.pos(at)) },
			"no tag":    func() { s.records("UPDATE records SET mac = NULL WHERE pos = ?", s.pos(at)) },
			"gone":      func() { s.records("UPDATE records SET pos = ? WHERE pos = ?", s.pos(1<<30), s.pos(at)) },
			"another's": func() {
				s.records("UPDATE records SET search = (SELECT r.search FROM records r WHERE r.pos = ?) WHERE pos = ?", s.pos(at-1), s.pos(at))
			},
		} {
			for _, rebuilt := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " rebuilt ", rebuilt), func(t *testing.T) {
					s.t = t
					if rebuilt {
						s.covered()
						if err := s.a.Rebuild(t.Context()); err != nil {
							t.Fatal(err)
						}
					} else { // search has come to before the record
						s.search("DELETE FROM hits WHERE pos >= ?", s.pos(before))
						s.db.search.newest.Store(nil)
						p := projection{made: s.a.nextEpoch(), covered: int64(before)}
						if _, err := sqldb.One(t.Context(), s.db.read, []any{&p.hashes}, "SELECT hashes FROM records WHERE pos = ?", s.pos(before-1)); err != nil {
							t.Fatal(err)
						}
						s.search("UPDATE projection SET made = ?, covered = ?, hashes = ?, mac = ?", s.a.set(p)...)
					}
					s.alarms = nil
					harm()
					var stopped error
					for range 10 {
						covered, size, err := s.a.Follow(t.Context())
						if stopped = err; err != nil {
							break
						}
						if covered > uint64(at) || covered == size {
							t.Fatalf("%d of %d records are covered", covered, size)
						}
						s.ask(covered)
					}
					if !errors.Is(stopped, ErrAltered) || len(s.alarms) == 0 {
						t.Errorf("search stopped with %v, alarms %q", stopped, s.alarms)
					}
					restore()
					s.covered()
				})
			}
		}
		t.Run("a shorter log", func(t *testing.T) {
			s.t = t
			s.covered()
			s.records("UPDATE logs SET size = size - 3 WHERE number = ?", s.db.number)
			if _, _, err := s.a.Follow(t.Context()); !errors.Is(err, ErrAltered) {
				t.Error(err)
			}
			s.records("UPDATE logs SET size = size + 3 WHERE number = ?", s.db.number)
			s.covered()
		})
	})
}

// TestCheckSearch finds what no search came by, and lets nothing be searched until it is made anew.
func TestCheckSearch(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := newSearched(t, e)
		s.covered()
		read := uint64(0)
		if err := s.db.CheckSearch(t.Context(), func(n uint64) { read = n }); err != nil || read != uint64(len(s.entries)) {
			t.Errorf("%d records were checked, %v", read, err)
		}
		s.search("DELETE FROM hits WHERE pos = ? AND n = 1", s.pos(31))
		if err := s.db.CheckSearch(t.Context(), nil); !errors.Is(err, ErrAltered) {
			t.Error(err)
		}
		if _, err := s.a.Search(t.Context(), audit.Query{Limit: 1}); !errors.Is(err, audit.ErrBehind) {
			t.Errorf("search goes on: %v", err)
		}
		s.covered()
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.db.CheckSearch(cancelled, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestSearchWhileMadeAnew: a search whose Follow was before somebody began the projection anew is refused, and nobody is alarmed.
func TestSearchWhileMadeAnew(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := newSearched(t, e)
		s.covered()
		if err := s.a.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := len(s.questions()) + 2
		for range 100 {
			covered, size, err := s.a.Follow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if covered == size {
				break
			}
			if refused := s.ask(size); refused != all {
				t.Errorf("%d of %d questions are refused", refused, all)
			}
			if refused := s.ask(covered); refused != 0 && covered >= 33 || refused > 1 {
				t.Errorf("%d questions about what is covered are refused", refused)
			}
			if covered < 33 { // the second page of a report that was begun when more was covered
				if _, err := s.a.Search(t.Context(), audit.Query{Before: 33, Limit: 9, Whole: true, Covered: covered}); !errors.Is(err, audit.ErrBehind) {
					t.Errorf("a later page of a report: %v", err)
				}
			}
		}
		if len(s.alarms) > 0 {
			t.Errorf("alarms: %q", s.alarms)
		}
	})
}

// TestForgedIndexes takes a record out of all indexes of the file, but not out of the table: queries by words do not find it.
func TestForgedIndexes(t *testing.T) {
	s := newSearched(t, engine{SQLite, freshSQLite})
	s.covered()
	type index struct{ name, text string }
	var indexes []index
	if err := sqldb.Each(t.Context(), s.db.search.read, func(rows *sql.Rows) error {
		var x index
		err := rows.Scan(&x.name, &x.text)
		indexes = append(indexes, x)
		return err
	}, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'hits' AND sql IS NOT NULL"); err != nil || len(indexes) < 9 {
		t.Fatal(indexes, err)
	}
	for _, x := range indexes {
		s.search("DROP INDEX " + x.name)
		s.search(x.text + fmt.Sprint(" WHERE pos <> ", s.pos(31)))
	}
	s.search("PRAGMA writable_schema = ON")
	for _, x := range indexes {
		s.search("UPDATE sqlite_master SET sql = ? WHERE name = ?", x.text, x.name)
	}
	s.search("PRAGMA schema_version = 1000")
	found, err := s.a.searchIndexes(t.Context(), audit.Query{Holder: "holder-2", Limit: 1000}, uint64(len(s.entries)))
	if err != nil || slices.Contains(found, s.pos(31)) {
		t.Fatalf("the indexes are as before: %v, %v", found, err)
	}
	s.ask(uint64(len(s.entries)))
}

// TestBounds holds the bounds of a period against the records within it, with leaves that say no time between.
func TestBounds(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := newSearched(t, e)
		follow(t, s.db)
		size := uint64(len(s.entries))
		for from := -3; from < 65; from += 2 {
			for to := from; to < 65; to += 5 {
				q := audit.Query{From: accepted.Add(time.Duration(from) * 10 * time.Minute), To: accepted.Add(time.Duration(to) * 10 * time.Minute)}
				first, end, err := s.a.bounds(t.Context(), q, 0, size)
				if err != nil {
					t.Fatal(err)
				}
				for i, x := range s.entries {
					within := x.Record != nil && !x.Index.Time.Before(q.From) && x.Index.Time.Before(q.To)
					if within && (uint64(i) < first || uint64(i) >= end) {
						t.Errorf("record %d of %d–%d is not within %d–%d", i, from, to, first, end)
					}
				}
				if wide := uint64(max(to-from, 0) + 2*6 + 6); end-first > wide {
					t.Errorf("%d–%d is read as %d–%d", from, to, first, end)
				}
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
