//go:build linux

package attack

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oncegate/api"
	"oncegate/client"
)

// recovery is how long after its cause is gone a node may go on refusing (it must come back by itself).
const recovery = 5 * time.Second

// A sufferer is a node whose disk is taken away and given back, and its answers meanwhile.
type sufferer struct {
	*process
	t        *testing.T
	in       *installation
	callers  *callers
	wire     *wire
	accepts  *client.Client
	n        int
	answered []*exchange
}

func newSufferer(t *testing.T, in *installation, p *process) *sufferer {
	c := in.callers()
	w := wireTo(p)
	return &sufferer{process: p, t: t, in: in, callers: c, wire: w, accepts: c.as("acceptance", w)}
}

// call registers one more case; the code is "" if that was answered.
func (s *sufferer) call() string {
	s.t.Helper()
	s.n++
	_, err := s.accepts.RegisterCase(s.t.Context(), foodCase(caseNo("D", s.n), party("applicant", s.in.city.Population.Companies[0].Holder())))
	for _, e := range s.wire.take() {
		switch {
		case hasReceipt(e.answer):
			s.answered = append(s.answered, e)
		case err == nil:
			s.t.Fatalf("answered without a receipt: %s", e.answer)
		}
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		if p.Code == "record-unavailable" && (p.Status != 503 || !p.Retry || p.Advice.En == "") {
			s.t.Errorf("record-unavailable is %d, retry %v, advice %q", p.Status, p.Retry, p.Advice.En)
		}
		return p.Code
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return ""
}

// until calls until the answer is this code.
func (s *sufferer) until(code string, within time.Duration) time.Duration {
	s.t.Helper()
	return await(s.t, "answers "+code, within, func() bool {
		got := s.call()
		// What was asked while the database was away, and is recorded when it is back, is a fault of ours with a receipt.
		if got != "" && got != "record-unavailable" && got != "internal" {
			s.t.Fatalf("refused with %s", got)
		}
		return got == code
	})
}

// suffers takes the disk away, sees every call refused, gives it back, and sees the node recover by itself.
func (s *sufferer) suffers(takeAway, giveBack func()) {
	s.t.Helper()
	s.until("", soon)
	takeAway()
	s.until("record-unavailable", soon)
	for range 5 {
		if code := s.call(); code != "record-unavailable" {
			s.t.Fatalf("a call in between is %q", code)
		}
	}
	giveBack()
	took := s.until("", recovery)
	s.t.Logf("recovered after %s", took.Round(time.Millisecond))
}

// proven holds the log against everything that was answered, now and after a restart.
func (s *sufferer) proven() {
	s.t.Helper()
	h := newHistory(s.callers.trust)
	log := s.callers.as("audit-office", s.wire).Log()
	h.follow(s.t, log)
	h.each(s.t, s.answered, 10)
	h.whole(s.t, log)
	s.stop()
	again := s.in.start()
	s.wire.to(again)
	h.follow(s.t, log)
	again.stop()
}

// TestFileLimit lets the kernel refuse every write beyond a size, at some point of a commit.
func TestFileLimit(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s := newSufferer(t, in, in.start())
	for range 2 {
		s.suffers(func() { s.limit(databaseSize(t, in) + 64<<10) }, func() { s.limit(unix.RLIM_INFINITY) })
	}
	s.proven()
}

// limit sets the largest size of a file that the node may write.
func (s *sufferer) limit(bytes uint64) {
	s.t.Helper()
	s.in.must(unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil))
}

// databaseSize is the size of the largest file of the database.
func databaseSize(t testing.TB, in *installation) (most uint64) {
	for _, data := range files(t, in.path("data")) {
		most = max(most, uint64(len(data)))
	}
	return most
}

// TestFullDisk fills the database's file system.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	small := filepath.Join(t.TempDir(), "small")
	in.must(os.Mkdir(small, 0o700))
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
		t.Logf("a small file system cannot be mounted here (%v): a full disk is tried by TestFileLimit only", err)
		return
	}
	t.Cleanup(func() { unix.Unmount(small, unix.MNT_DETACH) })
	in.must(copyFolder(small, in.path("data")))
	in.edit("path: data/oncegate.db", "path: "+small+"/oncegate.db")
	s := newSufferer(t, in, in.start())
	fill := filepath.Join(small, "fill")
	for range 2 {
		s.suffers(func() { fillUp(t, fill) }, func() { in.must(os.Remove(fill)) })
	}
	s.proven()
}

// fillUp writes a file until there is no room.
func fillUp(t testing.TB, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// TestReadOnlyFolder runs a node as a user who may not write: it does not start, says why, and starts when it may. A mark that
// cannot be written stops nobody and is counted.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Log("only root can run a node as another user: not tried")
		return
	}
	const nobody = 65534
	in := newInstallation(t)
	in.must(os.Chmod(filepath.Dir(filepath.Dir(in.dir)), 0o755))
	in.must(os.Chmod(filepath.Dir(in.dir), 0o755))
	in.must(filepath.WalkDir(in.dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	}))
	program := filepath.Join(filepath.Dir(in.dir), "node") // the test binary stands where others may not look
	binary, err := os.ReadFile(os.Args[0])
	in.must(err)
	in.must(os.WriteFile(program, binary, 0o755))
	as := func(cmd *exec.Cmd) {
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	mode := func(folder string, m os.FileMode) { in.must(os.Chmod(in.path(folder), m)) }

	mode("data", 0o500)
	mode("mark", 0o500)
	if _, err := in.try(in.main, as); err == nil || strings.Contains(err.Error(), "panic") {
		t.Fatalf("started on a folder it may not write: %v", err)
	}
	mode("data", 0o700)
	if _, err := in.try(in.main, as); err == nil || !strings.Contains(err.Error(), "high-water mark") {
		t.Fatalf("started without being able to keep its mark: %v", err)
	}
	mode("mark", 0o700)
	s := newSufferer(t, in, in.startWith(in.main, as))
	s.until("", soon)
	mode("mark", 0o500)
	await(t, "a mark that cannot be written is counted", soon, func() bool {
		return s.call() == "" && s.figure("oncegate_log_mark_failures_total") > 0
	})
	mode("mark", 0o700)
	s.wire.take()
	s.stop()
	in.startWith(in.main, as).stop()
}
