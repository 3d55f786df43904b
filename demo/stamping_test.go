package demo

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oncegate/config"
	"oncegate/deploy"
)

// A port that somebody takes after it was found to be free is given up, and the configuration says which one came instead.
func TestStampingPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	st := &stage{dir: t.TempDir(), stamping: taken.Addr().String()}
	sample, err := fs.ReadFile(deploy.City(), config.MainFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(st.mainFile()), 0o700); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(sample), "127.0.0.1:8424", st.stamping, 1)
	if err := os.WriteFile(st.mainFile(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := st.listenForStamping()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said, err := addressIn(st.mainFile(), stampingURL)
	if err != nil || said != l.Addr().String() || said != st.stamping || said == taken.Addr().String() {
		t.Errorf("it listens at %s, the configuration says %s (%v)", l.Addr(), said, err)
	}
}
