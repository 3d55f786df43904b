// Command mutants is a mutation test of the rooms that everything else relies on: it breaks one line at a time and demands that a test
// of the room fails.
//
//	go run ./.ci/mutants [-run REGEXP] [ROOM...]
//
// A mutant is killed if its tests fail, or hang, twice one after the other: a test that is merely unsteady, or a machine that is merely
// busy, kills none. Each mutant that survives must be in accepted.txt, with the reason, and each one there must still survive.
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rooms are the packages of each room: these are mutated, and their tests run.
var rooms = map[string][]string{
	"audit":   {"audit"},
	"gateway": {"gateway", "gateway/intake", "gateway/sources", "gateway/share"},
	"policy":  {"policy"},
	"store":   {"store", "store/sqldb"},
	"tlog":    {"tlog"},
}

//go:embed accepted.txt
var accepted string

// switchboard is added to each mutated package.
const switchboard = `package %s

import ("os"; "strconv"; "sync")

var (
	mutantNumber, _ = strconv.Atoi(os.Getenv("MUTANT"))
	mutantTrace     = os.Getenv("MUTANT_TRACE")
	mutantSeen      sync.Map
)

func mutantOn(n int) bool {
	if mutantTrace != "" { mutantReached(n) }
	return n != mutantNumber
}

func mutantReached(n int) {
	if _, seen := mutantSeen.LoadOrStore(n, true); seen { return }
	if f, err := os.OpenFile(mutantTrace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
		f.WriteString(strconv.Itoa(n)+"\n"); f.Close()
	}
}

func mutantError(n int, err error) error {
	if mutantOn(n) { return err }
	return nil
}
`

// A test is one of a room's, with the time it takes alone and the mutants that it reaches.
type test struct {
	Name    string
	Takes   time.Duration
	Reached map[int]bool

	binary, dir string
}

func main() {
	log.SetFlags(0)
	only := flag.String("run", "", "try only mutants whose file:function matches")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = []string{"policy", "audit", "tlog", "gateway", "store"}
	}
	failed := false
	for _, room := range names {
		if rooms[room] == nil {
			log.Fatalf("no room %q: audit, gateway, policy, store, tlog", room)
		}
		scratch, err := os.MkdirTemp("", "mutants-*")
		if err != nil {
			log.Fatal(err)
		}
		ok, err := try(room, scratch, regexp.MustCompile(*only))
		os.RemoveAll(scratch)
		if err != nil {
			log.Fatalf("%s: %v", room, err)
		}
		failed = failed || !ok
	}
	if failed {
		os.Exit(1)
	}
}

// try runs the mutants of one room and compares the survivors with the accepted ones.
func try(room, scratch string, only *regexp.Regexp) (bool, error) {
	mutants, tests, err := build(room, scratch)
	if err != nil {
		return false, err
	}
	known := map[string]bool{} // whether it was met
	for _, line := range strings.Split(accepted, "\n") {
		if f := strings.Split(line, "\t"); len(f) == 6 && f[0] == room && f[5] != "" && only.MatchString(f[1]+":"+f[2]) {
			known[strings.Join(f[1:5], "\t")] = false
		}
	}
	log.Printf("%s: %d mutants, %d tests", room, len(mutants), len(tests))
	tried, lived, ok := 0, 0, true
	for i, m := range mutants {
		if !only.MatchString(m.file + ":" + m.function) {
			continue
		}
		if tried++; tried%100 == 0 {
			log.Printf("%s: at mutant %d, %s", room, i+1, m.file)
		}
		if killed(tests, i+1) {
			continue
		}
		lived++
		if _, listed := known[m.String()]; !listed {
			ok = false
			fmt.Printf("SURVIVED\t%s\t%s\n", room, m)
		}
		known[m.String()] = true
	}
	for m, met := range known {
		if !met {
			ok = false
			fmt.Printf("LISTED, BUT KILLED OR GONE\t%s\t%s\n", room, m)
		}
	}
	fmt.Printf("%s: %d mutants, %d killed, %d survived\n", room, tried, tried-lived, lived)
	return ok, nil
}

// files are the files of a room that are mutated.
func files(room string) (list []string) {
	for _, dir := range rooms[room] {
		all, _ := filepath.Glob(dir + "/*.go")
		list = append(list, slices.DeleteFunc(all, func(f string) bool { return strings.HasSuffix(f, "_test.go") })...)
	}
	return list
}

// build makes the room's test binaries with all mutants in them, and runs each test alone to see what it reaches.
func build(room, scratch string) (mutants []mutant, tests []test, err error) {
	replace := map[string]string{}
	root, err := os.Getwd()
	if err != nil {
		return nil, nil, err
	}
	put := func(file string, text []byte) error {
		at := filepath.Join(scratch, strings.ReplaceAll(file, "/", "_"))
		replace[filepath.Join(root, file)] = at
		return os.WriteFile(at, text, 0o666)
	}
	for _, file := range files(room) {
		text, err := rewrite(file, &mutants)
		if err == nil {
			err = put(file, text)
		}
		if dir := filepath.Dir(file); err == nil {
			err = put(dir+"/mutants_switchboard.go", fmt.Appendf(nil, switchboard, filepath.Base(dir)))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(filepath.Join(scratch, "overlay.json"), overlay, 0o666)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, dir := range rooms[room] {
		binary := filepath.Join(scratch, strings.ReplaceAll(dir, "/", "_")+".test")
		if out, err := exec.Command("go", "test", "-c", "-trimpath", "-overlay", filepath.Join(scratch, "overlay.json"), "-o", binary, "./"+dir).CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("%w\n%s", err, out)
		}
		found, err := survey(binary, filepath.Join(root, dir), scratch)
		if err != nil {
			return nil, nil, err
		}
		tests = append(tests, found...)
	}
	// Each package's together, quick ones before slow ones.
	slices.SortStableFunc(tests, func(a, b test) int {
		return cmp.Or(strings.Compare(a.binary, b.binary), cmp.Compare(a.Takes, b.Takes))
	})
	return mutants, tests, nil
}

// survey runs each test of a binary alone, without a mutant. What it finds is kept by the binary's digest, as builds are: a
// room is tried in portions, and most of its tests stay as they are.
func survey(binary, dir, scratch string) (tests []test, err error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, nil // a package without tests
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(cache, "oncegate-mutants", fmt.Sprintf("%x.json", sha256.Sum256(program)))
	defer func() {
		for i := range tests {
			tests[i].binary, tests[i].dir = binary, dir
		}
	}()
	if text, err := os.ReadFile(kept); err == nil && json.Unmarshal(text, &tests) == nil {
		return tests, nil
	}
	list := exec.Command(binary, "-test.list", "^(Test|Fuzz|Example)")
	list.Dir = dir
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	whole := true
	for _, name := range strings.Fields(string(out)) {
		t := test{binary: binary, dir: dir, Name: name, Reached: map[int]bool{}}
		trace := filepath.Join(scratch, "trace")
		start := time.Now()
		if _, ok := run(10*time.Minute, "MUTANT_TRACE="+trace, t); !ok {
			log.Printf("left out: %s fails alone and without a mutant", name)
			_ = os.Remove(trace)
			whole = false
			continue
		}
		t.Takes = time.Since(start)
		seen, _ := os.ReadFile(trace)
		_ = os.Remove(trace)
		for _, n := range strings.Fields(string(seen)) {
			number, _ := strconv.Atoi(n)
			t.Reached[number] = true
		}
		tests = append(tests, t)
	}
	if !whole {
		return tests, nil
	}
	text, err := json.Marshal(tests)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(kept), 0o777)
	}
	if err == nil {
		err = os.WriteFile(kept, text, 0o666)
	}
	return tests, err
}

// killed runs the tests that reach a mutant, quick ones first and together, until one fails twice. That one is moved to the front of the
// list: it is likely to notice the next mutant too.
func killed(tests []test, number int) bool {
	reach := slices.DeleteFunc(slices.Clone(tests), func(t test) bool { return !t.Reached[number] })
	setting := fmt.Sprint("MUTANT=", number)
	for first := true; len(reach) > 0; first = false {
		group := reach[:1]
		for !first && len(group) < len(reach) && reach[len(group)].binary == group[0].binary && reach[len(group)].Takes < time.Second {
			group = reach[:len(group)+1]
		}
		reach = reach[len(group):]
		name, ok := run(patience(group), setting, group...)
		if ok {
			continue
		}
		if i := slices.IndexFunc(group, func(t test) bool { return t.Name == name }); i >= 0 {
			group = group[i : i+1]
		}
		if _, ok := run(patience(group), setting, group...); ok {
			continue
		}
		if i := slices.IndexFunc(tests, func(t test) bool { return t.binary == group[0].binary && t.Name == group[0].Name }); i > 0 {
			killer := tests[i]
			copy(tests[1:i+1], tests[:i])
			tests[0] = killer
		}
		return true
	}
	return false
}

// patience is how long tests may take that have a mutant.
func patience(tests []test) time.Duration {
	limit := 10 * time.Second
	for _, t := range tests {
		limit += 10 * t.Takes
	}
	return limit
}

// failure finds the test that failed, or that a limit of time ended.
var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: ([^/\s]+)|^panic: test timed out after .*\n\s*running tests:\n\s*([^/\s]+)`)

// run runs tests of one binary, and names the first that failed.
func run(limit time.Duration, setting string, tests ...test) (string, bool) {
	var names []string
	for _, t := range tests {
		names = append(names, t.Name)
	}
	var out bytes.Buffer
	cmd := exec.Command(tests[0].binary, "-test.failfast", "-test.timeout", limit.String(), "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir, cmd.Stdout, cmd.Stderr = tests[0].dir, &out, &out
	// Properties are held against the same values each time, and a failure is neither made smaller nor kept.
	cmd.Env = append(os.Environ(), setting, "RAPID_SEED=1", "RAPID_SHRINKTIME=0s", "RAPID_NOFAILFILE=true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	hard := time.AfterFunc(limit+10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	hard.Stop()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a test left running
	if m := failure.FindSubmatch(out.Bytes()); m != nil {
		return string(m[1]) + string(m[2]), err == nil
	}
	return "", err == nil
}
