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

// elsewhere are files that another room's tests are about.
var elsewhere = map[string]string{"audit/stored.go": "store"}

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
	binary, dir, name string
	takes             time.Duration
	reached           map[int]bool
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
		tried++
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
		list = append(list, slices.DeleteFunc(all, func(f string) bool { return strings.HasSuffix(f, "_test.go") || elsewhere[f] != "" })...)
	}
	for file, of := range elsewhere {
		if of == room {
			list = append(list, file)
		}
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
	for _, dir := range rooms[room] {
		if err != nil {
			return nil, nil, err
		}
		binary := filepath.Join(scratch, strings.ReplaceAll(dir, "/", "_")+".test")
		if out, err := exec.Command("go", "test", "-c", "-overlay", filepath.Join(scratch, "overlay.json"), "-o", binary, "./"+dir).CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("%w\n%s", err, out)
		}
		var found []test
		found, err = survey(binary, filepath.Join(root, dir), scratch)
		tests = append(tests, found...)
	}
	slices.SortStableFunc(tests, func(a, b test) int { return int(a.takes - b.takes) })
	return mutants, tests, err
}

// survey runs each test of a binary alone, without a mutant.
func survey(binary, dir, scratch string) (tests []test, err error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, nil // a package without tests
	}
	list := exec.Command(binary, "-test.list", "^(Test|Fuzz|Example)")
	list.Dir = dir
	names, err := list.Output()
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(string(names)) {
		t := test{binary: binary, dir: dir, name: name, reached: map[int]bool{}}
		trace := filepath.Join(scratch, "trace")
		start := time.Now()
		if _, ok := run(10*time.Minute, "MUTANT_TRACE="+trace, t); !ok {
			log.Printf("left out: %s fails alone and without a mutant", name)
			_ = os.Remove(trace)
			continue
		}
		t.takes = time.Since(start)
		seen, _ := os.ReadFile(trace)
		_ = os.Remove(trace)
		for _, n := range strings.Fields(string(seen)) {
			number, _ := strconv.Atoi(n)
			t.reached[number] = true
		}
		tests = append(tests, t)
	}
	return tests, nil
}

// killed runs the tests that reach a mutant, quick ones first and together, until one fails twice.
func killed(tests []test, number int) bool {
	reach := slices.DeleteFunc(slices.Clone(tests), func(t test) bool { return !t.reached[number] })
	setting := fmt.Sprint("MUTANT=", number)
	for len(reach) > 0 {
		group := reach[:1]
		for len(group) < len(reach) && reach[len(group)].binary == group[0].binary && reach[len(group)].takes < time.Second {
			group = reach[:len(group)+1]
		}
		reach = reach[len(group):]
		limit := 10 * time.Second
		for _, t := range group {
			limit += 10 * t.takes
		}
		first, ok := run(limit, setting, group...)
		if ok {
			continue
		}
		if i := slices.IndexFunc(group, func(t test) bool { return t.name == first }); i >= 0 {
			group = group[i : i+1]
		}
		if _, ok := run(limit, setting, group...); !ok {
			return true
		}
	}
	return false
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: ([^/\s]+)`)

// run runs tests of one binary, and names the first that failed.
func run(limit time.Duration, setting string, tests ...test) (string, bool) {
	var names []string
	for _, t := range tests {
		names = append(names, t.name)
	}
	var out bytes.Buffer
	cmd := exec.Command(tests[0].binary, "-test.failfast", "-test.timeout", limit.String(), "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir, cmd.Stdout, cmd.Stderr = tests[0].dir, &out, &out
	cmd.Env = append(os.Environ(), setting)
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
		return string(m[1]), err == nil
	}
	return "", err == nil
}
