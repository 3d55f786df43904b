package hammer

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"oncegate/node"
	"oncegate/tlog"
)

// small is a run that a test can afford.
func small(t *testing.T) Options {
	return Options{Dir: t.TempDir(), Callers: 8, Calls: 60, Duration: time.Second, Rounds: 1, Cost: 10, population: 30}
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	o := small(t)
	o.Out = &out
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !r.Proof.Holds || r.Proof.Answers < 80 || r.Proof.Others == 0 || len(r.Rounds) != 1 || r.Ratio.Median <= 0 {
		t.Errorf("report: %+v", r)
	}
	for _, code := range []string{"ok", "case-not-usable", "token-replayed"} {
		if r.Mixed.Codes[code] == 0 {
			t.Errorf("the mix brought no %s: %v", code, r.Mixed.Codes)
		}
	}
	if !strings.Contains(out.String(), "nothing that was answered is missing") {
		t.Errorf("text: %s", out.String())
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "answers")); err != nil {
		t.Error(err)
	}
	if _, err := Run(t.Context(), o); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a folder in use was taken: %v", err)
	}
}

// TestMain serves a configuration instead, where a run starts this program as its gateway.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != "serve" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := node.Open(ctx, os.Args[2], node.Options{})
	if err == nil {
		err = n.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The parts are measured, on PostgreSQL too where there is one, and what was answered meanwhile is proven with the rest.
func TestParts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := small(t)
	o.All, o.Duration, o.Serve, o.DSN = true, 200*time.Millisecond, []string{self, "serve"}, os.Getenv("ONCEGATE_TEST_POSTGRES")
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var names string
	for _, f := range r.Figures {
		names += f.Name + "\n"
		if f.Value.Median <= 0 || f.Value.Least > f.Value.Median || f.Value.Most < f.Value.Median {
			t.Errorf("figure: %+v", f)
		}
	}
	want := []string{"8 sources", "cold start", "Recorder.Record", "records by 1 ", "records by 64 ", "records by 512 "}
	if runtime.GOOS == "linux" {
		want = append(want, "resident memory")
	}
	if o.DSN != "" {
		want = append(want, "PostgreSQL")
	}
	for _, name := range want {
		if !strings.Contains(names, name) {
			t.Errorf("%s was not measured: %v", name, r.Missing)
		}
	}
}

// An interrupted run is proven, and says so.
func TestInterrupted(t *testing.T) {
	o := small(t)
	o.Calls, o.Duration, o.JSON = 400_000, time.Minute, true
	var out bytes.Buffer
	o.Out = &out
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = watcher(func(text string) {
		if strings.Contains(text, "signing 400000") {
			cancel()
		}
	})
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || !r.Proof.Holds || r.Proof.Answers < 80 {
		t.Errorf("interrupted: %+v", r)
	}
	var read Report
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || !read.Proof.Holds {
		t.Errorf("JSON: %v %s", err, out.String())
	}
}

type watcher func(text string)

func (w watcher) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Callers: -1}, {Callers: maxCallers + 1}, {Calls: maxCalls + 1}, {Duration: time.Hour}, {Duration: -1}, {Rounds: 100}, {Rate: -1}, {Rate: 1e9},
		{Mix: Mix{Check: 60, Replay: 60}}, {Mix: Mix{Check: -1}}, {Store: "oracle"}, {Store: Postgres},
	} {
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, address := range []string{"192.0.2.1:80", "localhost:80", "example.com:80", "[2001:db8::1]:80", "127.0.0.1"} {
		if l, err := dial(t.Context(), address); err == nil || !strings.HasPrefix(err.Error(), "connect: ") {
			t.Errorf("%s: %v %v", address, l, err)
		}
	}
}

func TestMixPattern(t *testing.T) {
	got := map[kind]int{}
	for _, k := range (Mix{Check: 5, Register: 10, Stranger: 30, Replay: 7}).pattern() {
		got[k]++
	}
	if got[check] != 5 || got[register] != 10 || got[stranger] != 30 || got[replay] != 7 || got[query] != 48 {
		t.Errorf("mix: %v", got)
	}
}

// A proof that cannot fail is none: a log that lost, altered or forked what was answered is found out, each by the step that is
// made for it.
func TestProofFails(t *testing.T) {
	ctx := t.Context()
	o, err := small(t).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	b := &session{Options: o, meter: &meter{}}
	drop, err := b.prepare(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.close(), drop()); err != nil {
			t.Error(err)
		}
	})
	work := func(n int, keep *answers) {
		t.Helper()
		list, err := b.sign(ctx, n, []kind{query})
		if err != nil {
			t.Fatal(err)
		}
		p, err := stretch{name: "work", address: b.service, callers: 4, calls: list, longest: time.Minute, keep: keep}.run(ctx)
		if err != nil || p.Codes["ok"] != n {
			t.Fatal(p.Codes, err)
		}
	}
	// stopped is the folder's state with the gateway at rest.
	stopped := func() {
		t.Helper()
		if err := b.stopGateway(); err != nil {
			t.Fatal(err)
		}
	}
	started := func() {
		t.Helper()
		if b.gateway, err = b.open(ctx); err != nil {
			t.Fatal(err)
		}
	}
	proof := func(a *answers) Proof {
		t.Helper()
		reader, err := b.client(auditor)
		if err != nil {
			t.Fatal(err)
		}
		checkpoint, err := reader.Log().Checkpoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p, err := prove(ctx, a, b.trustFile(), reader.Log(), checkpoint, b.meter)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	data := b.path("gateway", "data")
	mark := b.path("gateway", "mark")
	if err := b.warm(ctx); err != nil {
		t.Fatal(err)
	}
	stopped()
	older := [2]string{b.path("older-data"), b.path("older-mark")}
	copyFolder(t, data, older[0])
	copyFolder(t, mark, older[1])
	started()
	work(20, b.answers)
	if p := proof(b.answers); !p.Holds || p.Answers < 20 {
		t.Fatalf("nothing is wrong yet: %+v", p)
	}
	stopped()
	newest := [2]string{b.path("newest-data"), b.path("newest-mark")}
	copyFolder(t, data, newest[0])
	copyFolder(t, mark, newest[1])

	log := func(from [2]string, statements ...string) {
		t.Helper()
		stopped()
		for i, name := range []string{data, mark} {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
			copyFolder(t, from[i], name)
		}
		change(t, filepath.Join(data, "oncegate.db"), statements...)
		started()
	}
	const somewhere = "(SELECT pos FROM records ORDER BY pos LIMIT 1 OFFSET 70)"

	t.Run("altered", func(t *testing.T) {
		log(newest, "UPDATE records SET leaf = CAST(replace(CAST(leaf AS TEXT), 'release', 'denied!') AS BLOB) WHERE pos = "+somewhere)
		wrong(t, proof(b.answers), CheckTrees, CheckRecords)
	})
	t.Run("removed while serving", func(t *testing.T) {
		log(newest)
		change(t, filepath.Join(data, "oncegate.db"), "DELETE FROM records WHERE pos = "+somewhere)
		wrong(t, proof(b.answers), CheckTrees, CheckRecords, CheckHistory)
	})
	t.Run("removed before the start", func(t *testing.T) {
		stopped()
		change(t, filepath.Join(data, "oncegate.db"), "DELETE FROM records WHERE pos = "+somewhere)
		if g, err := b.open(ctx); !errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("the gateway started on it: %v, %v", err, g.stop())
		}
	})
	t.Run("an old copy put back", func(t *testing.T) {
		log(older)
		wrong(t, proof(b.answers), CheckRecords, CheckSize, CheckHistory)
	})
	t.Run("an old copy that went on", func(t *testing.T) {
		log(older)
		work(40, nil)
		wrong(t, proof(b.answers), CheckRecords, CheckHistory)
	})
	t.Run("answers", func(t *testing.T) {
		log(newest)
		var some []answer
		if err := b.answers.each(func(a answer) error { some = append(some, a); return nil }); err != nil {
			t.Fatal(err)
		}
		last := some[len(some)-1]
		other := some[len(some)-2]
		unproven := last
		unproven.body = []byte(`{"answer":{"nonce":"x"}}`)
		lied := last
		lied.body = bytes.Replace(last.body, []byte(`"found":"found"`), []byte(`"found":"not-found"`), 1)
		swapped := last
		swapped.token = other.token
		for name, c := range map[string]struct {
			list []answer
			want []string
		}{
			"twice":             {[]answer{last, last}, []string{CheckOnce, CheckPlaces}},
			"no receipt":        {[]answer{unproven}, []string{CheckUnrecorded}},
			"another answer":    {[]answer{lied}, []string{CheckReceipts}},
			"of another's call": {[]answer{swapped}, []string{CheckReceipts}},
		} {
			a, err := createAnswers(filepath.Join(t.TempDir(), "answers"))
			if err != nil {
				t.Fatal(err)
			}
			defer a.close()
			for _, one := range c.list {
				a.add(one)
			}
			t.Log(name)
			wrong(t, proof(a), c.want...)
		}
	})
}

// wrong wants exactly these steps to fail.
func wrong(t *testing.T, p Proof, want ...string) {
	t.Helper()
	var failed []string
	for _, s := range p.Steps {
		if !s.OK {
			failed = append(failed, s.Name)
		}
	}
	if p.Holds || strings.Join(failed, " ") != strings.Join(inOrder(p, want), " ") {
		t.Errorf("failed steps %v, want %v: %+v", failed, want, p)
	}
}

func inOrder(p Proof, want []string) (list []string) {
	for _, s := range p.Steps {
		for _, w := range want {
			if s.Name == w {
				list = append(list, w)
			}
		}
	}
	return list
}

// change edits a copy of the database behind the gateway's back.
func change(t *testing.T, name string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+name+"?_pragma=busy_timeout(2000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		res, err := db.Exec(statement)
		if err != nil {
			t.Fatal(statement, err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			t.Fatal(statement, n, err)
		}
	}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
