package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
	"oncegate/install/installtest"
)

const staff = `
identity_services:
  - {id: staff-id, name: 工作人员统一身份认证, certificates: [certificates/staff-id-1.pem], systems: [food-approval, acceptance], roles: [clerk, head]}

data:
`

// An identity service is registered with its certificates and pinned to systems and roles; init makes a throw-away key for it, as for callers,
// and trust.json hands both on to verifiers.
func TestIdentityServices(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	c.Edit(config.MainFile, "\ndata:\n", staff)
	if _, err := install.Prepare(t.Context(), c.Main, install.PrepareOptions{Cost: 10}); err != nil {
		t.Fatal(err)
	}
	setup, faults := config.Load(c.Main, time.Now())
	if len(faults) > 0 {
		t.Fatal(render(faults))
	}
	v, ok := setup.Vouchers["staff-id"]
	if !ok || v.Keys["staff-id-1"].Public == nil || v.Keys["staff-id-1"].NotAfter.IsZero() || !slices.Equal(v.Systems, []string{"food-approval", "acceptance"}) || !slices.Equal(v.Roles, []string{"clerk", "head"}) {
		t.Errorf("%+v", setup.Vouchers)
	}
	keys, err := install.OpenCallers(setup, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := install.IdentitySigner(setup, keys, "staff-id")
	if err != nil || signer.KeyID() != "staff-id-1" || !signer.Public().Equal(v.Keys["staff-id-1"].Public) {
		t.Errorf("%v, %v", signer, err)
	}
	if _, err := install.IdentitySigner(setup, keys, "food-approval"); err == nil {
		t.Error("a system's key signs as an identity service")
	}
	trust, err := install.TrustOf(c.Main, nil)
	if err != nil || trust == nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(install.DescribeKeys(setup), func(k install.KeyRecord) bool { return k.Owner == "staff-id" && k.Usage == "attest" }) {
		t.Error("the record of the keys does not list the identity service's")
	}
	for _, m := range []mistake{
		{"no such system", config.MainFile, "systems: [food-approval, acceptance], roles", "systems: [food-aproval, acceptance], roles", "food-aproval, acc", `there is no system "food-aproval"`, false},
		{"a system twice", config.MainFile, "systems: [food-approval, acceptance], roles", "systems: [food-approval, food-approval], roles", "food-approval], roles: [clerk, head", "stands already at", false},
		{"every system", config.MainFile, "systems: [food-approval, acceptance], roles", "systems: [], roles", "[], roles: [clerk, head", "say for which systems", false},
		{"a role of a sentence", config.MainFile, "roles: [clerk, head]", "roles: [clerk, '复核 人员']", "'复核", "a role is 1 to 64 letters", false},
		{"a role twice", config.MainFile, "roles: [clerk, head]", "roles: [clerk, clerk]", "clerk]}", "stands already at", false},
		{"the id of a system", config.MainFile, "{id: staff-id,", "{id: audit-office,", "audit-office, name: 工作", "the id is a system's", false},
		{"no certificate", config.MainFile, "certificates: [certificates/staff-id-1.pem]", "certificates: []", "[], systems: [food-approval, acc", "has no certificate", false},
		{"a certificate for calls", config.MainFile, "certificates/staff-id-1.pem", "certificates/food-approval-1.pem", "certificates/food-approval-1.pem], systems", `is for usage "call"`, false},
		{"a grant asks for a role that nobody asserts", "policy/grants.yaml", "    basis_kind:", "    operator_roles: [mayor]\n    basis_kind:", "mayor", "no known role that an identity service may assert", false},
		{"a grant asks for proof", "policy/grants.yaml", "    systems: [food-approval]\n", "    systems: [market-licenses]\n    operator_proof: call\n", "id:", "no identity service may prove the operators", true},
	} {
		t.Run(m.name, func(t *testing.T) {
			c := c.CopyOf(t)
			c.Edit(m.file, m.old, m.new)
			_, faults := config.Load(c.Main, time.Now())
			if m.name == "a grant asks for proof" { // at the grant
				if !slices.ContainsFunc(faults, func(f fault.Fault) bool { return f.Warning && strings.Contains(f.Reason, m.reason) }) {
					t.Error(render(faults))
				}
				return
			}
			expect(c, m, faults)
		})
	}
}
