package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/seal"
	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
	"oncegate/install/installtest"
)

// check warns of what would make shares worth less.
func TestSharesWarnings(t *testing.T) {
	t.Parallel()
	const proxy, deadline = "name the header in which it says where a call comes from under client_from", "the source's deadline is not shorter than limits.call"
	for _, c := range []struct {
		name, gateway, limits string
		warned                []string
		fault                 string
	}{
		{"a proxy", "  behind_tls: true\n", "", []string{proxy}, ""},
		{"a proxy that says who calls", "  behind_tls: true\n  client_from: X-Forwarded-For\n", "", nil, ""},
		{"short calls", "", "limits: {call: 2s}\n", []string{deadline}, ""},
		{"no room for a document", "", "limits: {memory: 1000000}\n", nil, "bytes of memory for bodies"},
		{"few connections", "", "limits: {connections: 5}\n", nil, "open connections, at least"},
	} {
		city := installtest.New(t)
		city.Edit(config.MainFile, "  # behind_tls: true ", c.gateway+"  # behind_tls: true ", "\nstore:", "\n"+c.limits+"\nstore:")
		_, faults := config.Load(city.Main, time.Now())
		for _, text := range []string{proxy, deadline} {
			said := slices.ContainsFunc(faults.Warnings(), func(f fault.Fault) bool { return strings.Contains(f.Reason, text) && f.Place.Line > 0 })
			if said != slices.Contains(c.warned, text) {
				t.Errorf("%s: warns of %q: %v", c.name, text, said)
			}
		}
		err := faults.Err()
		if (err != nil) != (c.fault != "") || err != nil && (!strings.Contains(err.Error(), c.fault) || !errors.As(err, new(fault.List))) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTrustFaults finds at check what the start would refuse.
func TestTrustFaults(t *testing.T) {
	t.Parallel()
	sound := installtest.New(t)
	vkey, _ := installtest.WitnessKey("one.example/witness", 'a')
	for name, m := range map[string][2]string{ // what stands under trust, and the reason
		"a witness with a slip":        {`witnesses: ["` + strings.Replace(vkey, "one.", "uno.", 1) + `"]`, "key id is of another name"},
		"a witness of another type":    {`witnesses: ["w.example+01020304+BgAA"]`, "key type 0x06"},
		"a witness whose file is none": {"witnesses: [keys.passphrase]", "not of the form"},
		"a witness whose file is gone": {"witnesses: [witness.pub]", "is not there"},
		"a list signer without prefix": {"status_lists: [{uscc: 11379901MB99103773}]", "uri_prefix is required"},
		"a list signer that is nobody": {"status_lists: [{uri_prefix: 'https://x.example'}]", "either uscc or fingerprint"},
		"a day that is none":           {"status_lists: [{uri_prefix: 'https://x.example', uscc: 11379901MB99103773, not_after: 2026-13-01}]", "not a time"},
		"a type without its code":      {"issues: [{type: pet-license, issuers: [11379901MB99103773]}]", "type_code is required"},
		"a type with another code":     {"issues: [{type: business-license, type_code: 11379901MB99103773001, issuers: [11379901MB99103773]}]", "the catalogue says"},
		"a delegation without a type":  {"delegations: [{type: pet-license, issuer: 11379901MB99103773, delegate: 11379901MB9915186R}]", "no license type"},
		"issuers that are none":        {"issues: [{type: business-license, issuers: ['1']}]", "social credit code"},
		"a delegate that is none":      {"delegations: [{type: business-license, issuer: 11379901MB99103773, delegate: '1'}]", "social credit code"},
		"a rule for no anchor":         {"usages: [{anchor: '" + strings.Repeat("0", 64) + "', from: ou}]", "no anchor has the fingerprint"},
		"evidence that is none":        {"evidence: [keys.passphrase]", "no revocation list"},
	} {
		t.Run(name, func(t *testing.T) {
			c := sound.CopyOf(t)
			if strings.HasPrefix(m[0], "evidence:") {
				c.Edit(config.MainFile, "  evidence: [evidence/*]", "  "+m[0])
			} else {
				c.Edit(config.MainFile, "  anchors:", "  "+m[0]+"\n  anchors:")
			}
			_, faults := config.Load(c.Main, time.Now())
			if len(faults.Fatal()) != 1 || !strings.Contains(faults[0].Reason, m[1]) || faults[0].Place.Line == 0 {
				t.Errorf("want one fault with %q:\n%s", m[1], render(faults))
			}
			key, _, _ := strings.Cut(m[0], ":")
			if _, line, _ := strings.Cut(c.Where(config.MainFile, key+":"), config.MainFile+":"); len(faults) > 0 && !strings.HasPrefix(fmt.Sprint(faults[0].Place.Line)+":", strings.Split(line, ":")[0]+":") {
				t.Errorf("at line %d, want %s", faults[0].Place.Line, line)
			}
		})
	}
}

// A seal that is not for its key, or is no seal, is a fault with its place.
func TestSealFaults(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	good, err := os.ReadFile(filepath.Join(c.Dir, "seals/market.esl"))
	if err != nil {
		t.Fatal(err)
	}
	other := installtest.New(t)
	for _, name := range []string{"keys", "seals"} {
		if err := os.RemoveAll(filepath.Join(other.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	other.Prepare()
	foreign, err := os.ReadFile(filepath.Join(other.Dir, "seals/market.esl"))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		esl  []byte
		want string
	}{
		"no seal":     {[]byte("no seal"), "malformed"},
		"another key": {foreign, "not for the key"},
		"altered":     {bytes.Replace(good, []byte("电子证照专用章"), []byte("电子证照专用件"), 1), "does not hold: " + seal.StepMade},
	} {
		c.Write("seals/market.esl", k.esl)
		if _, faults := config.Load(c.Main, time.Now()); !strings.Contains(faults.Error(), k.want) || !strings.Contains(faults.Error(), "oncegate.yaml:") {
			t.Errorf("%s: %v", name, faults)
		}
	}
	c.Write("seals/market.esl", good)
	ring, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(t.Context(), keystore.Purpose{Usage: keystore.Seal, Owner: "market", Algorithm: keystore.SM2}); err != nil {
		t.Fatal(err)
	}
	if setup, faults := config.Load(c.Main, time.Now()); len(faults.Fatal()) > 0 || len(faults) != 1 || !strings.Contains(faults[0].String(), "a key that was rotated") {
		t.Errorf("a rotated key: %v", faults)
	} else if d := setup.Departments[1]; setup.Seals[d.USCC] == nil {
		t.Error("the seal is not used until there is a new one")
	}
	c.Edit(config.MainFile, "seal: {key: current", "seal: {key: seal-0123456789abcdef")
	if _, faults := config.Load(c.Main, time.Now()); !strings.Contains(faults.Error(), `no seal key "seal-0123456789abcdef"`) {
		t.Errorf("without a key: %v", faults)
	}
	c.Edit(config.MainFile, "seal: {key: seal-0123456789abcdef", "seal: {key: current")
	if err := os.Remove(filepath.Join(c.Dir, "seals/market.esl")); err != nil {
		t.Fatal(err)
	}
	if _, faults := config.Load(c.Main, time.Now()); len(faults.Fatal()) > 0 || len(faults) != 1 || !strings.Contains(faults[0].String(), "have no document form") {
		t.Errorf("a seal that is not there: %v", faults)
	}
}
