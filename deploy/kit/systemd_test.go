package kit_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const unit = "../systemd/oncegate.service"

// exposure is the worst that systemd may say of the unit's exposure, out of 10. What is left is the network, which a gateway needs.
const exposure = 1.2

func TestUnit(t *testing.T) {
	for _, unit := range []string{unit, "../systemd/oncegate-witness.service"} {
		t.Run(filepath.Base(unit), func(t *testing.T) { checkUnit(t, unit) })
	}
}

func checkUnit(t *testing.T, unit string) {
	_, err := exec.LookPath("systemd-analyze")
	demand(t, err == nil, "no systemd-analyze")
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for oncegate[a-z-]*\.service: ([0-9.]+)`).FindStringSubmatch(string(out))
	if err != nil || m == nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > exposure {
		t.Errorf("exposure level %s, more than %v", m[1], exposure)
	}
	t.Log(m[0])
	// verify looks for the program too: it is tried on an installed one, by the test of the package.
	out, err = exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "/usr/bin/oncegate is not executable") && strings.TrimSpace(line) != "" {
			t.Errorf("systemd-analyze verify (%v): %s", err, line)
		}
	}
	d := directives(t, unit)
	if got := d["StateDirectory"]; len(got) != 1 || filepath.Join("/var/lib", got[0]) != d["WorkingDirectory"][0] {
		t.Errorf("the unit may write to %v and works in %v", got, d["WorkingDirectory"])
	}
}
