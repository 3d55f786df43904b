package kit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackage installs the Debian package on a copy of this machine that is thrown away (an overlay), makes an installation as the
// manual says, starts it as the unit does, upgrades, removes and purges it: what the gateway wrote stays.
func TestPackage(t *testing.T) {
	_, err := exec.LookPath("dpkg")
	demand(t, err == nil && root(), "the package is installed by root on Debian only")
	old := theRelease(t)
	newer := filepath.Join(t.TempDir(), "oncegate_99.0_amd64.deb") // the same program, called newer
	pack := exec.Command("go", "tool", "nfpm", "package", "--config", "../debian/nfpm.yaml", "--packager", "deb", "--target", newer)
	pack.Env = append(os.Environ(), "ARCH=amd64", "VERSION=99.0", "PROGRAM="+filepath.Join(old, "oncegate-linux-amd64"))
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("nfpm: %v\n%s", err, out)
	}
	d := directives(t, unit)
	out := inside(t, "testdata/package.sh", "SCRATCH="+t.TempDir(), "OLD="+thePackage(t, old), "NEW="+newer,
		"START="+d["ExecStart"][0], "RUNAS="+d["User"][0], "FOLDER="+d["WorkingDirectory"][0])
	if !strings.Contains(out, "the package holds") {
		t.Errorf("it did not come to its end:\n%s", out)
	}
	t.Log(out)
}
