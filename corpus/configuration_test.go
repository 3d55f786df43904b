package corpus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oncegate/config"
	"oncegate/install"
	"oncegate/verdict"
)

// everythingFile stands beside the main file of the SQLite gateway: the same with every member that a configuration can have. The
// trust folder everything is what it writes.
const everythingFile = "everything.yaml"

// TestConfigurations reads every configuration of each version: those of gateways with their keys, and the samples as they were.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		dir := v.unpack(t, "city", "sqlite", "postgres", "configurations")
		write(t, filepath.Join(dir, "postgres", dsnFile), []byte("postgres://nobody@127.0.0.1/nothing"))
		mains := []string{filepath.Join("sqlite", config.MainFile), filepath.Join("sqlite", everythingFile), filepath.Join("postgres", config.MainFile)}
		for _, name := range mains {
			if setup := load(t, filepath.Join(dir, name), v.Made); v.has(4) && len(setup.Vouchers[staff].Keys) == 0 {
				t.Errorf("%s: no key of the identity service is read", name)
			}
		}
		for _, name := range folders(t, filepath.Join(dir, "configurations")) {
			sample := filepath.Join("configurations", name, config.MainFile)
			if _, faults := config.Load(filepath.Join(dir, sample), v.Made); len(faults.Fatal()) > 0 {
				t.Errorf("%s: %v", sample, faults)
			}
			mains = append(mains, sample)
		}
		for _, name := range mains {
			setup, faults := config.Load(filepath.Join(dir, name), v.Made)
			for _, w := range faults.Warnings() {
				if strings.Contains(w.Reason, "decision is not the expected one") {
					t.Errorf("%s: %s", name, w)
				}
			}
			if len(setup.Tables) == 0 || len(setup.Policy.Grants()) == 0 {
				t.Errorf("%s: %d tables of decisions, %d grants", name, len(setup.Tables), len(setup.Policy.Grants()))
			}
		}
	})
}

// TestTrust reads every trust folder of each version; what is written from the same configuration today is read too.
func TestTrust(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		for _, name := range folders(t, v.path("trust")) {
			v.trust(t, name)
			read, err := verdict.ReadTrust(v.path("trust", name, install.TrustFile))
			if err != nil {
				t.Fatal(err)
			}
			if v.has(4) && name != "office" && len(read.IdentityServices) == 0 {
				t.Errorf("trust %s: no identity service is read", name)
			}
		}
		config, err := verdict.ReadTrust(v.path("trust", everything, install.TrustFile))
		if err != nil {
			t.Fatal(err)
		}
		for member, n := range map[string]int{
			"logs": len(config.Logs), "anchors": len(config.Anchors), "callers": len(config.Callers), "gateway": len(config.Gateway), "delegations": len(config.Delegations),
			"witnesses": len(config.Witnesses), "certificates": len(config.Known), "seal_anchors": len(config.SealAnchors), "timestamp_anchors": len(config.TimeStampAnchors),
			"authorities": len(config.Authorities), "evidence": len(config.Evidence),
		} {
			if n == 0 {
				t.Errorf("nothing is read of %s", member)
			}
		}
		dir := v.unpack(t, "city", "sqlite")
		again := filepath.Join(dir, "trust")
		if err := install.WriteTrust(load(t, filepath.Join(dir, "sqlite", everythingFile), v.Made), again); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(again, install.TrustFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := verdict.ReadTrust(filepath.Join(again, install.TrustFile)); err != nil {
			t.Error(err)
		}
	})
}
