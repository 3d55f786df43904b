package store

import (
	"bytes"
	"context"
	"errors"
	cmdline "flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// writeColumns writes what TestEveryColumn finds into the threat model; it takes both engines. Notes are written by hand.
var writeColumns = cmdline.Bool("store.columns", false, "write what TestEveryColumn finds into docs/threat-model.md")

// A level says when an alteration of the database is noticed.
type level int

// From the best to the worst.
const (
	atFirst   level = iota + 1 // whatever rests on it is refused, in reading or by the next batch
	inASecond                  // refused by the process that runs, which knows better, and at start
	atStart                    // the start is refused, or what was altered is made anew
	inVerify                   // audit verify names it
	never                      // nothing notices it, and every answer is as before
	borne                      // nothing notices it, and an answer differs; a note must say why that is bearable
)

var levelWords = map[level]string{atFirst: "at once", inASecond: "within a second", atStart: "at start", inVerify: "audit verify", never: "nothing", borne: "bounded"}

// pending are rows of the document, or rows with a kind of alteration, where less is found than the document says: what closes them is not
// here yet. A name that ends in an asterisk stands for all that begin so, and for columns that are not here yet.
var pending = []string{}

func isPending(row, kind string) bool {
	return slices.ContainsFunc(pending, func(name string) bool {
		name, only, one := strings.Cut(name, " ")
		prefix, all := strings.CutSuffix(name, "*")
		return (row == name || all && strings.HasPrefix(row, prefix)) && (!one || only == kind)
	})
}

// verifyState is what audit verify --state does.
func verifyState(t *testing.T, r *rig) error {
	signed, err := r.log.Checkpoint(t.Context())
	if err != nil {
		return err
	}
	c, _, err := tlog.VerifyCheckpoint(signed, r.trust)
	if err != nil {
		return err
	}
	if err := audit.VerifyLog(t.Context(), r.db.Log(), c, tlogtest.NewHash, nil); err != nil {
		return err
	}
	state, err := r.db.VerifyState(t.Context(), StateOptions{NewSM3: tlogtest.NewHash})
	if err != nil {
		return err
	}
	for _, check := range state.Checks {
		for _, fault := range check.Faults {
			return errors.New(fault.String())
		}
	}
	for index := range c.Size {
		if _, err := r.auditor.Evidence(t.Context(), index); err != nil {
			return err
		}
	}
	return nil
}

// TestEveryColumn alters every column and every row of every table as somebody can who writes the database and holds no key: changes it,
// exchanges it with another row's, deletes it, puts back what stood there before. The table in the threat model says of each when that is
// noticed. It may say neither more nor less than what is found here, and has every table and column of both engines.
//
// That takes minutes. On PostgreSQL, which shares all code but its dialect with SQLite, a run without ONCEGATE_LONG alters one table of
// three, other ones each day.
func TestEveryColumn(t *testing.T) {
	doc := readColumns(t)
	found := map[string]findings{}
	onEach(t, func(t *testing.T, e engine) {
		g := newGround(t, e, nil)
		s := &siege{ground: g, questions: questions(t, g.batches()), found: findings{}}
		s.learn(t)
		left := map[string]bool{}
		for i, table := range g.tables {
			if e.name == Postgres && os.Getenv("ONCEGATE_LONG") == "" && !*writeColumns && i%3 != time.Now().YearDay()%3 {
				left[table.name] = true
				continue
			}
			begun, before := time.Now(), s.made
			s.table(t, table)
			t.Logf("%s: %d alterations in %.1f s", table.name, s.made-before, time.Since(begun).Seconds())
		}
		found[e.name] = s.found
		doc.hold(t, e.name, s.found, left)
	})
	if *writeColumns {
		doc.write(t, found)
	}
}

// findings are the levels by row of the document (a table, or table.column) and kind of alteration.
type findings map[string]map[string]level

func (f findings) add(row, kind string, l level) {
	if f[row] == nil {
		f[row] = map[string]level{}
	}
	if kind != "" && l != 0 {
		f[row][kind] = max(f[row][kind], l)
	}
}

// kinds are the kinds of alterations.
var kinds = []string{"changed", "exchanged", "deleted", "older"}

// A siege alters a ground and asks what it notices.
type siege struct {
	*ground
	questions map[string]question
	answers   map[string]string
	verdicts  map[string]string
	found     findings
	made      int // alterations
}

// learn asks everything while nothing is altered.
func (s *siege) learn(t *testing.T) {
	r := s.rig(t)
	defer s.restore(t)
	defer r.log.Close(context.Background())
	s.answers, s.verdicts = map[string]string{}, map[string]string{}
	for name, q := range s.questions {
		answer, err := answerOf(q.ask(t.Context(), r))
		if err != nil {
			t.Fatal(name, err)
		}
		s.answers[name] = answer
	}
	for _, d := range deeds(t, r.db) {
		answer, err := d.do(t.Context(), r)
		if err != nil {
			t.Fatal(d.name, err)
		}
		s.verdicts[d.name] = answer
	}
}

// answerOf writes an answer. That something is not there is an answer, too.
func answerOf(answer any, err error) (string, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return "not there", nil
	}
	return fmt.Sprintf("%+v", answer), err
}

// table makes all alterations of a table. Of the rows it takes two: one that changed, where there is one, and one that did not.
func (s *siege) table(t *testing.T, table *sqlTable) {
	s.found.add(table.name, "", 0)
	var victims [][]any
	for _, row := range table.now {
		if s.ofLog(table, row) && (len(victims) == 0 || table.was(victims[0]) == nil && table.was(row) != nil) {
			victims = append([][]any{row}, victims...)
		}
	}
	victims = victims[:min(len(victims), 2)]
	if how := slices.Index(table.columns, "how"); table.name == "case_received" { // licenses with which cases ended, and hand-overs, are found in other ways
		for _, mark := range []string{cases.ResultMark, cases.HandOverMark} {
			victims = append(victims, table.now[slices.IndexFunc(table.now, func(row []any) bool { return row[how] == mark })])
		}
	}
	for _, row := range victims {
		s.alter(t, table.name, "deleted", edit{table, [][]any{row}, nil})
		if was := table.was(row); was != nil {
			s.alter(t, table.name, "older", edit{table, [][]any{row}, [][]any{was}})
		}
		if other := s.other(table, row, -1); other != nil && len(table.key) < len(table.columns) {
			a, b := slices.Clone(other), slices.Clone(row)
			for _, i := range table.key {
				a[i], b[i] = row[i], other[i]
			}
			s.alter(t, table.name, "exchanged", edit{table, [][]any{row, other}, [][]any{a, b}})
		}
	}
	for i, column := range table.columns {
		name := table.name + "." + column
		s.found.add(name, "", 0)
		for _, row := range victims {
			for _, value := range s.values(table, row, i) {
				changed := slices.Clone(row)
				changed[i] = value
				s.alter(t, name, "changed", edit{table, [][]any{row}, [][]any{changed}})
			}
			if other := s.other(table, row, i); other != nil {
				a, b := slices.Clone(row), slices.Clone(other)
				a[i], b[i] = other[i], row[i]
				s.alter(t, name, "exchanged", edit{table, [][]any{row, other}, [][]any{a, b}})
			}
		}
	}
}

// ofLog reports whether a row is of the log that is written; what is left of one before is for whoever opens that.
func (s *siege) ofLog(table *sqlTable, row []any) bool {
	for i, column := range table.columns {
		switch {
		case table.name == "logs" && column == "origin":
			return row[i] == origin
		case slices.Contains([]string{"tiles", "projection", "cosigned"}, table.name) && column == "log":
			return row[i] == s.base.number
		case table.name == "claims" && column == "jti":
			return row[i] == "call-5" || row[i] == "call-6"
		case (table.name == "records" || table.name == "hits") && column == "pos":
			return row[i].(int64) >= position(s.base.number, groundVictim) && row[i].(int64) <= position(s.base.number, groundVictim+2)
		}
	}
	return true
}

// other is another row with another value of a column.
func (s *siege) other(table *sqlTable, row []any, column int) []any {
	for _, other := range table.now {
		if table.keyOf(other) != table.keyOf(row) && (column < 0 || !same(other[column], row[column])) {
			return other
		}
	}
	return nil
}

// values are what somebody may write in the place of a value.
func (s *siege) values(table *sqlTable, row []any, column int) (all []any) {
	add := func(value any) {
		if !slices.ContainsFunc(append(all, row[column]), func(v any) bool { return same(v, value) }) {
			all = append(all, value)
		}
	}
	if was := table.was(row); was != nil {
		add(was[column])
	}
	if table.nullable[column] {
		add(nil)
	}
	switch v := row[column].(type) {
	case int64:
		add(v + 1)
		add(v + 1<<30)
		add(int64(0))
	case string:
		add(v + "x")
		if altered := strings.Replace(v, "system-", "system_", 1); table.columns[column] == "search" {
			add(altered)
		}
	case []byte:
		flipped := append(slices.Clone(v[:max(len(v)-1, 0)]), 1)
		if len(v) > 0 {
			flipped[len(v)-1] = v[len(v)-1] ^ 1
		}
		add(flipped)
		add(append(slices.Clone(v), 0))
		switch name := table.columns[column]; {
		case name == "leaf":
			add(bytes.Replace(v, []byte("material-"), []byte("material_"), 1))
		case name == "evidence":
			if erased, err := withoutPersons(v); err == nil {
				add(erased)
			}
		default:
			add([]byte{})
		}
	case nil:
		if c := table.columns[column]; c == "expires" {
			add(int64(1))
		} else {
			add("x")
		}
	}
	return all
}

// alter makes an alteration, finds when it is noticed, and takes it back.
func (s *siege) alter(t *testing.T, row, kind string, e edit) {
	t.Helper()
	s.made++
	l, how := s.levelOf(t, e)
	if testing.Verbose() && (l != atFirst || kind == "older") {
		t.Logf("%s %s: %s: %s", row, kind, levelWords[l], how)
	}
	s.found.add(row, kind, l)
}

// levelOf makes an alteration again and again, for each way to notice it.
func (s *siege) levelOf(t *testing.T, e edit) (l level, how string) {
	t.Helper()
	lie, known := "", ""
	for _, warm := range []bool{false, true} {
		if warm && lie == "" && !remembered(e.table.name) {
			break
		}
		r := s.rig(t)
		if warm {
			for name, q := range s.concerned(e.table.name) {
				if _, err := answerOf(q.ask(t.Context(), r)); err != nil {
					t.Fatal(name, err)
				}
			}
		}
		if err := s.apply(t, e); err != nil {
			r.log.Close(t.Context())
			return 0, err.Error() // the database has no place for it
		}
		how, lied, wrote := s.notices(t, r, e.table.name, warm)
		r.log.Close(t.Context())
		s.takeBack(t, e, wrote)
		switch {
		case lied != "": // that something else is refused does not help whoever asked this
		case how != "" && warm:
			known = how
		case how != "":
			return atFirst, how
		}
		if lied != "" && !warm {
			lie = lied
		}
	}
	if err := s.apply(t, e); err != nil {
		t.Fatal(err)
	}
	defer s.takeBack(t, e, true)
	switch l, how := s.starts(t, e.table.name, lie); {
	case l == atStart && known != "":
		return inASecond, known
	case l != 0:
		return l, how
	}
	if lie != "" {
		return borne, lie
	}
	return never, ""
}

// remembered reports whether a process may know better than a table.
func remembered(table string) bool {
	return slices.Contains(summed[:], table) || slices.Contains([]string{"logs", "claims", "horizon", "projection", "snapshots", "originals"}, table)
}

func (s *siege) takeBack(t *testing.T, e edit, all bool) {
	t.Helper()
	if all {
		s.restore(t)
	} else if err := s.apply(t, e.reverse()); err != nil {
		t.Fatal(err)
	}
}

// concerned are the questions about a table.
func (s *siege) concerned(table string) map[string]question {
	some := map[string]question{}
	for name, q := range s.questions {
		if slices.Contains(strings.Fields(q.tables), table) {
			some[name] = q
		}
	}
	return some
}

// ask asks the questions about a table; lied is an answer that is not the one from before.
func (s *siege) ask(t *testing.T, r *rig, table string) (how, lied string) {
	for name, q := range s.concerned(table) {
		switch answer, err := answerOf(q.ask(t.Context(), r)); {
		case err != nil:
			how = name + ": " + err.Error()
		case answer != s.answers[name]:
			lied = fmt.Sprintf("%s: %.300s instead of %.300s", name, answer, s.answers[name])
		}
	}
	return how, lied
}

// notices lets a process read and write what the alteration is about, and if it runs longer, look at the head and follow the log.
func (s *siege) notices(t *testing.T, r *rig, table string, warm bool) (how, lied string, wrote bool) {
	if how, lied = s.ask(t, r, table); how != "" {
		return how, lied, table == "hits" || table == "projection" || table == "records"
	}
	if warm {
		time.Sleep(20 * time.Millisecond) // four looks
		if err := r.log.Distrusted(); err != nil {
			return err.Error(), lied, true
		}
		if _, _, err := r.db.Audit().Follow(t.Context()); err != nil {
			return err.Error(), lied, true
		}
	}
	for _, d := range deeds(t, r.db) {
		if !slices.Contains(strings.Fields(d.tables), table) {
			continue
		}
		answer, err := d.do(t.Context(), r)
		if err != nil {
			return d.name + ": " + err.Error(), lied, true
		}
		if answer != s.verdicts[d.name] {
			lied = d.name + ": " + answer
		}
	}
	return "", lied, true
}

// starts starts a process on the altered database as a node does, and lets it verify everything.
func (s *siege) starts(t *testing.T, table, lie string) (l level, how string) {
	c, mark := s.config, filepath.Join(t.TempDir(), "mark")
	data, err := os.ReadFile(s.mark)
	if err == nil {
		err = os.WriteFile(mark, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.engine.name == SQLite { // a start may make the second file anew
		c.Path = filepath.Join(t.TempDir(), "copy")
		s.exec(t, "VACUUM main INTO ?", c.Path)
		s.exec(t, "VACUUM beside INTO ?", c.Path+"-search")
	}
	db, err := Open(t.Context(), c)
	if err != nil {
		return atStart, err.Error()
	}
	defer db.Close()
	r, err := rigOn(t, db, s.keys, mark)
	if err != nil {
		return atStart, err.Error()
	}
	defer r.log.Close(context.Background())
	if err := started(t.Context(), db); err != nil {
		return atStart, err.Error()
	}
	how, lied := s.ask(t, r, table)
	switch {
	case how != "":
		return atStart, how
	case lied == "" && lie != "":
		return atStart, "it is made anew"
	}
	if err := verifyState(t, r); err != nil {
		return inVerify, err.Error()
	}
	return 0, ""
}

// started checks what a node checks before it serves (node.checkTables), and follows the log.
func started(ctx context.Context, db *DB) error {
	adopted, err := db.Adopted(ctx)
	if err == nil && !adopted {
		err = ErrNotAdopted
	}
	if err == nil {
		err = db.Check(ctx, nil)
	}
	if err == nil {
		_, _, err = db.Audit().Follow(ctx)
	}
	return err
}

// A columnDoc is the table of the threat model: by row, the words for each kind of alteration, and the note.
type columnDoc struct {
	before, after string
	order         []string
	cells         map[string]map[string]string
	notes         map[string]string
}

const (
	columnsDocument = "../docs/threat-model.md"
	columnsBegin    = "<!-- table columns -->\n"
	columnsEnd      = "<!-- end columns -->"
	columnsHead     = "| row or column | changed | exchanged | deleted | older put back | why that is enough |\n|---|---|---|---|---|---|\n"
)

func readColumns(t *testing.T) *columnDoc {
	data, err := os.ReadFile(columnsDocument)
	if err != nil {
		t.Fatal(err)
	}
	d := &columnDoc{cells: map[string]map[string]string{}, notes: map[string]string{}}
	var table string
	var ok, ok2 bool
	d.before, table, ok = strings.Cut(string(data), columnsBegin)
	table, d.after, ok2 = strings.Cut(table, columnsEnd)
	table, ok3 := strings.CutPrefix(table, columnsHead)
	if !ok || !ok2 || !ok3 {
		t.Fatalf("%s has no table of columns", columnsDocument)
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		if len(cells) != len(kinds)+2 {
			t.Fatalf("not a row of the table: %s", line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := strings.Trim(cells[0], "`* ")
		if d.cells[name] != nil {
			t.Errorf("%s stands twice in the table", name)
		}
		d.order, d.cells[name], d.notes[name] = append(d.order, name), map[string]string{}, cells[len(kinds)+1]
		for i, kind := range kinds {
			d.cells[name][kind] = cells[i+1]
		}
	}
	return d
}

// says returns the word of a cell for an engine; "" where the alteration cannot be made. "a (SQLite: b)" is a for PostgreSQL.
func says(cell, engine string) string {
	word, other, differ := strings.Cut(strings.TrimSuffix(cell, ")"), " (SQLite: ")
	if differ && engine == SQLite {
		word = other
	}
	return strings.TrimSuffix(word, "–")
}

// hold compares the document with what was found on one engine, but for the tables that were left out.
func (d *columnDoc) hold(t *testing.T, engine string, found findings, left map[string]bool) {
	counts := map[string]int{}
	for row, levels := range found {
		if d.cells[row] == nil {
			t.Errorf("%s does not stand in the table of the threat model", row)
			continue
		}
		for _, kind := range kinds {
			is, says := levelWords[levels[kind]], says(d.cells[row][kind], engine)
			if is != says && !isPending(row, kind) {
				t.Errorf("%s, %s: the threat model says %q, found is %q", row, kind, says, is)
			}
			if says == levelWords[never] || says == levelWords[borne] {
				if table, _, _ := strings.Cut(row, "."); d.notes[row] == "" && d.notes[table] == "" {
					t.Errorf("%s, %s: the threat model does not say why it does not matter", row, kind)
				}
			}
			if says != "" {
				counts[says]++
			}
		}
	}
	for row := range d.cells {
		if table, _, _ := strings.Cut(row, "."); left[table] {
			continue
		}
		if found[row] == nil && !isPending(row, "") && !(engine == SQLite && strings.HasPrefix(row, "schema_lock")) {
			t.Errorf("%s stands in the table of the threat model, and there is no such thing", row)
		}
	}
	t.Log(counts)
}

// write puts what was found into the document; pending cells stay as they are.
func (d *columnDoc) write(t *testing.T, found map[string]findings) {
	if len(found) != 2 {
		t.Fatal("both engines are needed")
	}
	lite, post := found[SQLite], found[Postgres]
	rows := slices.Clone(d.order)
	rows = slices.DeleteFunc(rows, func(row string) bool { return post[row] == nil && !isPending(row, "") })
	for row := range post {
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	if len(d.order) == 0 {
		slices.Sort(rows)
	}
	var b strings.Builder
	b.WriteString(columnsHead)
	for _, row := range rows {
		name := "`" + row + "`"
		if !strings.Contains(row, ".") {
			name = "**" + name + "**"
		}
		fmt.Fprintf(&b, "| %s |", name)
		for _, kind := range kinds {
			cell := levelWords[post[row][kind]]
			if other, has := lite[row]; has && levelWords[other[kind]] != cell {
				cell += " (SQLite: " + levelWords[other[kind]] + ")"
			}
			if isPending(row, kind) {
				cell = d.cells[row][kind]
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		fmt.Fprintf(&b, " %s |\n", d.notes[row])
	}
	if err := os.WriteFile(columnsDocument, []byte(d.before+columnsBegin+b.String()+columnsEnd+d.after), 0o644); err != nil {
		t.Fatal(err)
	}
}
