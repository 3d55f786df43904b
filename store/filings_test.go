package store

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/store/sqldb"
	"oncegate/tlog/tlogtest"
)

func aFiling(id, no, holder string) cases.File {
	content := []byte("file " + id)
	return cases.File{Content: content, R: random32(), Filing: cases.Filing{
		ID: id, Type: "lease", Holder: license.HolderID{Type: "111", Code: holder}, Case: no, Matter: "food-permit", Material: "premises", Department: "service", System: "window",
		Verifier: "clerk-7", Proof: "session", Verification: "original-seen", Level: "B", Digest: canonical.Digest(tlogtest.NewHash, content), Media: "application/pdf", Size: len(content),
		Filed: accepted, Until: "2027-11-24", Keep: accepted.Add(24 * time.Hour),
	}}
}

// aHandOver is that of a case's file, of a package with a content.
func aHandOver(no, content string) cases.AddHandOver {
	return cases.AddHandOver{HandOver: cases.HandOver{Case: no, Digest: canonical.Digest(tlogtest.NewHash, []byte(content)), By: "window", At: accepted}}
}

// TestFilings: what a window filed is found by its holder and its id, newest first; its file goes when it is withdrawn or its retention ends, and
// the row stays.
func TestFilings(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		view := b.db.Cases()
		mustChange(t, b, cases.Register{Case: aCase("C-1"), R: random32()}, cases.Register{Case: aCase("C-2"), R: random32()})
		one, two, other := aFiling("F-1", "C-1", "X"), aFiling("F-2", "C-1", "X"), aFiling("F-3", "C-2", "Y")
		two.Filing.Filed, two.Filing.Keep = accepted.Add(time.Hour), accepted.Add(48*time.Hour)
		mustChange(t, b, one, two)
		mustChange(t, b, other)
		holder := license.HolderID{Type: "111", Code: "X"}
		found, err := view.Filings(t.Context(), "lease", holder, 9)
		if err != nil || len(found) != 2 || found[0] != two.Filing || found[1] != one.Filing {
			t.Fatalf("%+v %v", found, err)
		}
		if newest, err := view.Filings(t.Context(), "lease", holder, 1); err != nil || len(newest) != 1 || newest[0].ID != "F-2" {
			t.Errorf("the newest: %+v %v", newest, err)
		}
		for name, f := range map[string]func() ([]cases.Filing, error){
			"another type": func() ([]cases.Filing, error) { return view.Filings(t.Context(), "deed", holder, 9) },
			"another holder": func() ([]cases.Filing, error) {
				return view.Filings(t.Context(), "lease", license.HolderID{Type: "001", Code: "X"}, 9)
			},
		} {
			if all, err := f(); err != nil || len(all) > 0 {
				t.Errorf("%s: %+v %v", name, all, err)
			}
		}
		if content, err := view.FiledFile(t.Context(), "F-1"); err != nil || !bytes.Equal(content, one.Content) {
			t.Errorf("%q %v", content, err)
		}
		var sealed []byte
		if _, err := sqldb.One(t.Context(), b.db.read, []any{&sealed}, "SELECT sealed FROM filed_files WHERE id = 'F-1'"); err != nil || bytes.Contains(sealed, one.Content) {
			t.Errorf("the file is not sealed: %q %v", sealed, err)
		}
		refused := func(want error, change any) {
			t.Helper()
			if err := b.change(t.Context(), change); !errors.Is(err, want) {
				t.Errorf("%+v: %v", change, err)
			}
		}
		refused(cases.ErrRegistered, one)
		refused(cases.ErrChanged, aFiling("F-9", "C-9", "X"))
		refused(cases.ErrChanged, cases.Unfile{ID: "F-9", By: cases.WithdrawnByHolder, At: accepted})
		refused(cases.ErrChanged, cases.StillFiled{ID: "F-9"})
		mustChange(t, b, cases.StillFiled{ID: "F-1"})

		due := func(at time.Time) string {
			ids, err := view.FilingsDue(t.Context(), at, 9)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(ids, " ")
		}
		if got := due(accepted.Add(24*time.Hour - time.Millisecond)); got != "" {
			t.Errorf("due too early: %s", got)
		}
		if got := due(accepted.Add(24 * time.Hour)); got != "" {
			t.Errorf("due before the case was handed over: %s", got)
		}
		if _, err := b.db.write.Exec(t.Context(), "INSERT INTO case_received (case_no, pos, n, matter, material, how, digest, by_system, at, mac) SELECT no, 1, 7, '', '', 'handed-over', '', 'window', 0, mac FROM cases WHERE no = 'C-1'"); err != nil {
			t.Fatal(err)
		}
		if ids, err := view.FilingsDue(t.Context(), accepted.Add(24*time.Hour), 9); len(ids) != 0 || err == nil {
			t.Errorf("a row that the database was made to have lets files be erased: %v, %v", ids, err)
		}
		if _, err := b.db.write.Exec(t.Context(), "DELETE FROM case_received WHERE how = 'handed-over'"); err != nil {
			t.Fatal(err)
		}
		refused(cases.ErrChanged, cases.AddHandOver{HandOver: cases.HandOver{Case: "C-9", Digest: strings.Repeat("A", 43), By: "window", At: accepted}})
		over := cases.HandOver{Case: "C-1", Digest: strings.Repeat("A", 43), By: "window", At: accepted}
		mustChange(t, b, cases.AddHandOver{HandOver: over})
		mustChange(t, b, cases.AddHandOver{HandOver: cases.HandOver{Case: "C-2", Digest: over.Digest, By: "window", At: accepted}})
		if all, err := view.HandOvers(t.Context(), "C-1"); err != nil || len(all) != 1 || all[0].Digest != over.Digest || !all[0].At.Equal(accepted) {
			t.Errorf("handed over: %+v, %v", all, err)
		}
		if all, err := view.Received(t.Context(), "C-1"); err != nil || slices.ContainsFunc(all, func(r cases.Received) bool { return r.How == cases.HandOverMark }) {
			t.Errorf("received: %+v, %v", all, err)
		}
		if got := due(accepted.Add(24 * time.Hour)); got != "F-1 F-3" && got != "F-3 F-1" {
			t.Errorf("due: %s", got)
		}
		mustChange(t, b, cases.EraseFile{ID: "F-1", At: accepted.Add(time.Hour)}, cases.Unfile{ID: "F-3", By: cases.WithdrawnByDepartment, At: accepted.Add(time.Hour)})
		if got := due(accepted.Add(365 * 24 * time.Hour)); got != "F-2" {
			t.Errorf("due after erasure: %s", got)
		}
		for _, id := range []string{"F-1", "F-3"} {
			if _, err := view.FiledFile(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file of %s: %v", id, err)
			}
			refused(cases.ErrChanged, cases.StillFiled{ID: id})
			refused(cases.ErrChanged, cases.EraseFile{ID: id, At: accepted})
		}
		var kept int64
		if _, err := sqldb.One(t.Context(), b.db.read, []any{&kept}, "SELECT count(*) FROM filed_files"); err != nil || kept != 1 {
			t.Errorf("%d files are kept, %v", kept, err)
		}
		f, err := view.Filing(t.Context(), "F-3")
		if err != nil || f.WithdrawnBy != cases.WithdrawnByDepartment || !f.Withdrawn.Equal(accepted.Add(time.Hour)) || !f.Erased.Equal(f.Withdrawn) {
			t.Errorf("withdrawn: %+v %v", f, err)
		}
		mustChange(t, b, cases.Unfile{ID: "F-1", By: cases.WithdrawnByHolder, At: accepted.Add(2 * time.Hour)}) // after its file was erased
		if f, err = view.Filing(t.Context(), "F-1"); err != nil || !f.Erased.Equal(accepted.Add(time.Hour)) {
			t.Errorf("erased, then withdrawn: %+v %v", f, err)
		}
		refused(cases.ErrChanged, cases.Unfile{ID: "F-1", By: cases.WithdrawnByHolder, At: accepted})
		mustChange(t, b, cases.Close{No: "C-1", Revision: 1, At: accepted})
		refused(cases.ErrChanged, aFiling("F-8", "C-1", "X"))
		mustChange(t, b, cases.Unfile{ID: "F-2", By: cases.WithdrawnByHolder, At: accepted}) // a closed case does not keep it
		if err := b.db.Check(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
}

// TestSumsOfBeforeFilings: a database whose sums were sealed before there were filings opens, and the next batch seals those of all tables.
func TestSumsOfBeforeFilings(t *testing.T) {
	b := newBench(t, engines()[0])
	mustChange(t, b, cases.Register{Case: aCase("C-1"), R: random32()})
	h, sealed, err := b.db.headAndSums(t.Context(), b.db.read, "")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := b.db.config.Sealer.Open(sealed, sumsAAD(h.Checkpoint))
	if err != nil {
		t.Fatal(err)
	}
	reseal := func(plain []byte) {
		t.Helper()
		sealed, err := b.db.config.Sealer.Seal(plain, sumsAAD(h.Checkpoint))
		if err == nil {
			_, err = b.db.write.DB().Exec("UPDATE logs SET sums = ?", sealed)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.db.lastSums.Store(nil)
	}
	reseal(plain[:8+(summedOnce-1)*sumSize])
	if err := b.db.Check(t.Context(), nil); !isAltered(err) {
		t.Errorf("sums of too few tables: %v", err)
	}
	b.db.distrusted.Store(nil)
	reseal(plain[:8+summedOnce*sumSize])
	if err := b.db.Check(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	mustChange(t, b, aFiling("F-1", "C-1", "X"))
	if err := b.db.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
