package files

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/mapping"
	"oncegate/license"
)

// csvText writes rows as a drop in UTF-8.
func csvText(rows []mapping.Row) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	columns := adaptertest.Columns()
	w.Write(columns)
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = row[c]
		}
		w.Write(cells)
	}
	w.Flush()
	return out.Bytes()
}

// encode writes a drop in an encoding; GBK lacks some of the names' characters, so they are made plain first.
func encode(t testing.TB, name string, rows []mapping.Row) []byte {
	t.Helper()
	text, err := csvText(rows), error(nil)
	switch name {
	case "gb18030":
		text, err = simplifiedchinese.GB18030.NewEncoder().Bytes(text)
	case "gbk":
		text, err = simplifiedchinese.GBK.NewEncoder().Bytes(text)
	case "utf-8 with mark":
		text = append([]byte("\ufeff"), text...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A place is a directory with a clock that tests move.
type place struct {
	dir     string
	ahead   atomic.Int64 // nanoseconds by which the clock is ahead of the real one
	changes chan Status
}

func newPlace(t testing.TB) *place { return &place{dir: t.TempDir(), changes: make(chan Status, 100)} }

func (p *place) now() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }

func (p *place) config() Config {
	return Config{
		ID: "estates", Dir: p.dir, Pattern: "estate-*.csv", Settle: least, MaxAge: time.Hour, Encoding: "gb18030",
		Record: adaptertest.Record(func(column string) string { return column }),
	}
}

func (p *place) open(t testing.TB, cfg Config) *Source {
	t.Helper()
	s, err := Open(cfg, adaptertest.Catalogue(), Deps{Now: p.now, Changed: func(st Status) { p.changes <- st }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// drop moves a file in, as a careful department does, with a modification time so long ago.
func (p *place) drop(t testing.TB, name string, content []byte, ago time.Duration) {
	t.Helper()
	part := filepath.Join(p.dir, ".part")
	if err := os.WriteFile(part, content, 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-ago)
	if err := errors.Join(os.Chtimes(part, when, when), os.Rename(part, filepath.Join(p.dir, name))); err != nil {
		t.Fatal(err)
	}
}

// await waits for a change of the status that satisfies ok.
func (p *place) await(t *testing.T, ok func(Status) bool) Status {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for {
		select {
		case st := <-p.changes:
			if ok(st) {
				return st
			}
		case <-deadline:
			t.Fatal("the watcher saw nothing")
		}
	}
}

func TestSuite(t *testing.T) {
	for _, name := range []string{"gb18030", "utf-8"} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.drop(t, "estate-1.csv", encode(t, name, adaptertest.Rows()), time.Minute)
			cfg := p.config()
			cfg.Encoding = name
			adaptertest.Run(t, adaptertest.Subject{
				Open: func(t *testing.T) adaptertest.Source { return p.open(t, cfg) },
				Break: func(*testing.T) func() { // no new drop comes
					p.ahead.Store(int64(2 * time.Hour))
					return func() { p.ahead.Store(0) }
				},
			})
		})
	}
}

func question(person int) license.Question {
	return license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(person).HolderID}
}

func find(t *testing.T, s *Source, person int) license.Finding {
	t.Helper()
	findings, err := s.Find(t.Context(), license.Request{Questions: []license.Question{question(person)}})
	if err != nil {
		t.Fatal(err)
	}
	return findings[0]
}

// TestWatch tells the life of a directory: nothing, a drop, a bad one, a better one, silence.
func TestWatch(t *testing.T) {
	p := newPlace(t)
	s := p.open(t, p.config())
	if f := find(t, s, 0); f.State != license.IsUnavailable || !errors.Is(f.Err, ErrNoDrop) || !errors.Is(s.Check(t.Context()), ErrNoDrop) {
		t.Errorf("before any drop: %q, %v", f.State, f.Err)
	}
	rows := adaptertest.Rows()
	p.drop(t, "estate-1.csv", encode(t, "gb18030", rows[:5]), 3*time.Minute)
	st := p.await(t, func(st Status) bool { return st.Drop == "estate-1.csv" })
	if st.Rows != 5 || st.Licenses != 5 || st.Refused != nil || time.Since(st.AsOf) < 3*time.Minute {
		t.Errorf("status %+v", st)
	}
	if f := find(t, s, 0); f.State != license.IsFound || !f.AsOf.Equal(st.AsOf) || f.Source != "estates" {
		t.Errorf("%q, %v", f.State, f.Err)
	}
	if f := find(t, s, 7); f.State != license.IsNotFound {
		t.Errorf("not in the drop: %q, %v", f.State, f.Err)
	}

	p.drop(t, "estate-2.csv", encode(t, "gb18030", append(rows, adaptertest.BadRow())), 2*time.Minute)
	st = p.await(t, func(st Status) bool { return st.Refused != nil })
	if st.Drop != "estate-1.csv" || st.Refused.Drop != "estate-2.csv" || st.Refused.Line != len(rows)+2 || !strings.Contains(st.Refused.Reason, "column status: the code is not in the table of list") {
		t.Errorf("status %+v, refusal %+v", st, st.Refused)
	}
	if find(t, s, 0).State != license.IsFound || find(t, s, 7).State != license.IsNotFound {
		t.Error("the old drop does not serve unchanged")
	}

	p.drop(t, "estate-3.csv", encode(t, "gb18030", rows[5:]), time.Minute)
	if st = p.await(t, func(st Status) bool { return st.Drop == "estate-3.csv" }); st.Refused != nil {
		t.Errorf("a refusal that was overcome: %+v", st.Refused)
	}
	if find(t, s, 0).State != license.IsNotFound || find(t, s, 7).State != license.IsFound {
		t.Error("the new drop does not serve")
	}
	p.drop(t, "estate-0.csv", encode(t, "gb18030", rows), 10*time.Minute)
	if err := s.Rescan(t.Context()); err != nil || s.Status().Drop != "estate-3.csv" {
		t.Errorf("an older drop replaced a newer one: %+v, %v", s.Status(), err)
	}
	p.ahead.Store(int64(2 * time.Hour))
	if f := find(t, s, 7); f.State != license.IsUnavailable || !errors.Is(f.Err, ErrTooOld) {
		t.Errorf("an old drop: %q, %v", f.State, f.Err)
	}
}

// TestRestart: a source that starts beside a bad newest drop serves the one before.
func TestRestart(t *testing.T) {
	p := newPlace(t)
	p.drop(t, "estate-1.csv", encode(t, "gb18030", adaptertest.Rows()), 2*time.Minute)
	p.drop(t, "estate-2.csv", []byte("rubbish\n"), time.Minute)
	s := p.open(t, p.config())
	if st := s.Status(); st.Drop != "estate-1.csv" || st.Refused == nil || st.Refused.Drop != "estate-2.csv" || st.Refused.Line != 1 {
		t.Errorf("status %+v, refusal %+v", st, st.Refused)
	}
	p.drop(t, "estate-2.csv", encode(t, "gb18030", adaptertest.Rows()[:1]), 30*time.Second) // the department mends it
	if st := p.await(t, func(st Status) bool { return st.Drop == "estate-2.csv" }); st.Rows != 1 {
		t.Errorf("status %+v", st)
	}
}

// TestComplete: a drop that is still being written is not taken.
func TestComplete(t *testing.T) {
	rows := adaptertest.Rows()
	t.Run("settle", func(t *testing.T) {
		p := newPlace(t)
		cfg := p.config()
		cfg.Settle, cfg.Rescan = time.Hour/2, time.Hour
		s := p.open(t, cfg)
		p.drop(t, "estate-1.csv", encode(t, "gb18030", rows), 0)
		if s.Rescan(t.Context()); s.Status().Drop != "" {
			t.Error("taken before it settled")
		}
		p.ahead.Store(int64(31 * time.Minute))
		if s.Rescan(t.Context()); s.Status().Drop == "" {
			t.Error("not taken after it settled")
		}
	})
	t.Run("marker", func(t *testing.T) {
		p := newPlace(t)
		cfg := p.config()
		cfg.Settle, cfg.Marker = 0, ".ok"
		s := p.open(t, cfg)
		p.drop(t, "estate-1.csv", bytes.TrimRight(encode(t, "gb18030", rows), "\r\n"), time.Minute)
		if s.Rescan(t.Context()); s.Status().Drop != "" {
			t.Error("taken before its marker")
		}
		p.drop(t, "estate-1.csv.ok", nil, 0)
		p.await(t, func(st Status) bool { return st.Drop == "estate-1.csv" })
	})
	t.Run("cut short", func(t *testing.T) {
		p := newPlace(t)
		whole := encode(t, "gb18030", rows)
		p.drop(t, "estate-1.csv", whole[:len(whole)-2], time.Minute)
		if st := p.open(t, p.config()).Status(); st.Drop != "" || st.Refused == nil || st.Refused.Line != len(rows)+1 {
			t.Errorf("status %+v, refusal %+v", st, st.Refused)
		}
	})
}

// TestNameTime: the time in a name is the drop's, whatever the file's own time; names without one are refused.
func TestNameTime(t *testing.T) {
	p := newPlace(t)
	cfg := p.config()
	cfg.Time, cfg.MaxAge = "yyyyMMddHHmmss", 48*time.Hour
	stamp := func(ago time.Duration) string {
		return time.Now().In(license.Shanghai()).Add(-ago).Format("20060102150405")
	}
	rows := encode(t, "gb18030", adaptertest.Rows())
	newest := "estate-" + stamp(time.Hour) + ".csv"
	p.drop(t, newest, rows, time.Minute)
	p.drop(t, "estate-"+stamp(24*time.Hour)+".csv", rows, time.Second) // copied later
	p.drop(t, "estate-20260230000000.csv", rows, time.Second)
	p.drop(t, "estate-"+stamp(-time.Hour)+".csv", rows, time.Minute)
	st := p.open(t, cfg).Status()
	if age := time.Since(st.AsOf); st.Drop != newest || age < 59*time.Minute || age > 61*time.Minute {
		t.Errorf("status %+v", st)
	}
	if st.Refused == nil || !strings.Contains(st.Refused.Reason, "future") {
		t.Errorf("refusal %+v", st.Refused)
	}
}

// TestRefused: each fault refuses the drop whole, with its line.
func TestRefused(t *testing.T) {
	rows := adaptertest.Rows()
	good := encode(t, "gb18030", rows)
	utf := encode(t, "utf-8", rows)
	cut := func(drop []byte, line int, change func(string) string) []byte {
		all := strings.SplitAfter(string(drop), "\n")
		all[line-1] = change(all[line-1])
		return []byte(strings.Join(all, ""))
	}
	replace := func(old, with string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("nothing to replace in %q", s)
			}
			return strings.Replace(s, old, with, 1)
		}
	}
	for name, c := range map[string]struct {
		encoding string
		drop     []byte
		line     int
		reason   string
	}{
		"half a character":        {"gb18030", cut(good, 4, replace(",10,", "\xb0,10,")), 4, "not in the encoding"},
		"stray byte":              {"gb18030", cut(good, 3, replace(",10,", "\xff,10,")), 3, "not in the encoding"},
		"GB18030-2022 0xA6D9":     {"gb18030", cut(good, 3, replace(",10,", "\xa6\xd9,10,")), 3, "not in the encoding"},
		"four bytes in GBK":       {"gbk", good, 2, "not in the encoding"},
		"UTF-8 read as GB18030":   {"gb18030", utf, 2, ""},
		"GB18030 read as UTF-8":   {"utf-8", good, 2, "not in the encoding"},
		"replaced before it came": {"utf-8", cut(utf, 5, replace("甲", "\ufffd")), 5, "U+FFFD"},
		"bad date":                {"utf-8", cut(utf, 6, replace("20210505", "20210229")), 6, "column issued"},
		"unknown holder type":     {"utf-8", cut(utf, 2, replace(",10,", ",99,")), 2, "column id_type"},
		"no code":                 {"utf-8", cut(utf, 2, replace(adaptertest.Person(0).Code, "")), 2, "no code"},
		"a column too few":        {"utf-8", cut(utf, 7, replace(",10,", ",")), 7, "wrong number of fields"},
		"a quote astray":          {"utf-8", cut(utf, 7, replace(",10,", ",1\"0,")), 7, `bare "`},
		"a quote left open":       {"utf-8", cut(utf, 7, replace(",10,", ",\"10,")), 7, ""},
		"control character":       {"utf-8", cut(utf, 7, replace(",10,", ",1\x000,")), 7, "control"},
		"row twice":               {"utf-8", append(utf, strings.SplitAfter(string(utf), "\n")[1]...), len(rows) + 2, "a second time"},
		"rows disagree":           {"utf-8", cut(utf, 13, replace(",10,", ",10,")), 0, ""},
		"column missing":          {"utf-8", cut(utf, 1, replace("status", "zt")), 1, "no column status"},
		"column twice":            {"utf-8", cut(utf, 1, replace("owner", "status")), 1, "the same name"},
		"header only":             {"utf-8", []byte(strings.SplitAfter(string(utf), "\n")[0]), 0, "fewer rows"},
		"empty":                   {"utf-8", nil, 0, "empty"},
		"long line":               {"utf-8", cut(utf, 3, replace(",10,", strings.Repeat("x", 9000)+",10,")), 3, "longer"},
		"large":                   {"utf-8", append(utf, bytes.Repeat([]byte("\n"), 20_000)...), 0, "larger"},
	} {
		if name == "rows disagree" { // the two rows of the couple, with different places
			c.drop = cut(utf, 13, replace("示例路10号", "示例路11号"))
			c.line, c.reason = 13, "in more than the holder"
		}
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.drop(t, "estate-1.csv", c.drop, time.Minute)
			cfg := p.config()
			cfg.Encoding, cfg.MaxBytes, cfg.MaxRowBytes = c.encoding, 20_000, 8000
			s := p.open(t, cfg)
			st := s.Status()
			if st.Drop != "" || st.Refused == nil || st.Refused.Line != c.line || !strings.Contains(st.Refused.Reason, c.reason) {
				t.Fatalf("status %+v, refusal %+v; want line %d, %q", st, st.Refused, c.line, c.reason)
			}
			if strings.Contains(st.Refused.Reason, adaptertest.Person(0).Code) || strings.Contains(st.Refused.Reason, "甲") {
				t.Errorf("the reason repeats the drop: %s", st.Refused.Reason)
			}
			if f := find(t, s, 0); f.State != license.IsUnavailable {
				t.Errorf("%q from a refused drop", f.State)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	rows := adaptertest.Rows()
	for _, row := range rows {
		row["owner"] = "镕"
	}
	for name, encoding := range map[string]string{"gbk": "gbk", "gb18030": "gb18030", "utf-8": "utf-8", "utf-8 with mark": "utf-8"} {
		p := newPlace(t)
		p.drop(t, "estate-1.csv", encode(t, name, rows), time.Minute)
		cfg := p.config()
		cfg.Encoding = encoding
		if f := find(t, p.open(t, cfg), 0); f.State != license.IsFound || f.Records[0].Holders[0].Name != "镕" {
			t.Errorf("%s: %q, %v", name, f.State, f.Err)
		}
	}
}

// TestNotFollowed: links and directories are no drops.
func TestNotFollowed(t *testing.T) {
	p, elsewhere := newPlace(t), newPlace(t)
	elsewhere.drop(t, "estate-1.csv", encode(t, "gb18030", adaptertest.Rows()), time.Minute)
	if err := errors.Join(
		os.Symlink(filepath.Join(elsewhere.dir, "estate-1.csv"), filepath.Join(p.dir, "estate-1.csv")),
		os.Mkdir(filepath.Join(p.dir, "estate-2.csv"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	if st := p.open(t, p.config()).Status(); st.Drop != "" || st.Refused != nil {
		t.Errorf("status %+v", st)
	}
}

// TestDirectoryLost: what was taken serves on, and Status says that the directory cannot be read.
func TestDirectoryLost(t *testing.T) {
	p := newPlace(t)
	p.drop(t, "estate-1.csv", encode(t, "gb18030", adaptertest.Rows()), time.Minute)
	s := p.open(t, p.config())
	if err := os.Rename(p.dir, p.dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := s.Rescan(t.Context()); err == nil || s.Status().Err == nil || find(t, s, 0).State != license.IsFound {
		t.Errorf("%v, status %+v", err, s.Status())
	}
	if _, err := Open(p.config(), adaptertest.Catalogue(), Deps{}); err == nil {
		t.Error("opened without a directory")
	}
}

func TestCheckReportsAllFaults(t *testing.T) {
	cfg := Config{Pattern: "*/*.csv", Time: "yyyy", Marker: "/", Settle: 1, Rescan: 1, Encoding: "big5", Separator: ";;", MinRows: -1}
	paths := map[string]bool{}
	for _, f := range cfg.Check(adaptertest.Catalogue()) {
		paths[f.Path] = true
	}
	for _, want := range []string{"$.dir", "$.pattern", "$.time", "$.marker", "$.settle", "$.rescan", "$.max_age", "$.encoding", "$.separator", "$", "$.record.type"} {
		if !paths[want] {
			t.Errorf("no fault at %s in %v", want, paths)
		}
	}
}

// FuzzDrop: no drop panics, and none that is taken holds a replaced character.
func FuzzDrop(f *testing.F) {
	p := newPlace(f)
	sources := map[string]*Source{}
	for name := range encodings {
		cfg := p.config()
		cfg.Encoding = name
		plan, err := cfg.Record.Bind(adaptertest.Catalogue())
		if err != nil {
			f.Fatal(err)
		}
		sources[name] = &Source{cfg: cfg, plan: plan}
		f.Add(name, encode(f, map[string]string{"gbk": "utf-8"}[name]+strings.TrimPrefix(name, "gbk"), adaptertest.Rows()[:2]))
	}
	f.Add("gb18030", []byte("a,b\n\x84\x31\x95\x33\xff\n"))
	f.Add("utf-8", []byte("\ufeffcert_no,\"\n"))
	f.Fuzz(func(t *testing.T, encoding string, content []byte) {
		s, ok := sources[encoding]
		if !ok {
			return
		}
		d, err := s.read(t.Context(), bytes.NewReader(content))
		if err != nil {
			return
		}
		for _, l := range d.licenses {
			for _, text := range []string{l.Number, l.Holders[0].Name, l.Holders[0].Code, l.Fields["location"]} {
				if strings.ContainsRune(text, '\ufffd') {
					t.Errorf("a replaced character came through: %q", text)
				}
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	p := newPlace(b)
	cfg := p.config()
	plan, _ := cfg.Record.Bind(adaptertest.Catalogue())
	s := &Source{cfg: cfg, plan: plan}
	one := adaptertest.Rows()[0]
	var rows []mapping.Row
	for i := range 20_000 {
		row := mapping.Row{}
		for k, v := range one {
			row[k] = v
		}
		row["cert_no"] = row["cert_no"] + strings.Repeat("x", i%7) + time.Duration(i).String()
		rows = append(rows, row)
	}
	content := encode(b, "gb18030", rows)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := s.read(b.Context(), bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}
