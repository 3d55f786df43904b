package audit_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
)

func goodLeaf(t testing.TB) string {
	return string(newBench(t).record(t, draft()).Record)
}

func TestParseRecord(t *testing.T) {
	leaf := goodLeaf(t)
	if _, err := audit.ParseRecord([]byte(leaf)); err != nil {
		t.Fatalf("a good record: %v", err)
	}
	replace := func(old, new string) string {
		if !strings.Contains(leaf, old) {
			t.Fatalf("%q is not in the record", old)
		}
		return strings.Replace(leaf, old, new, 1)
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"null":             "null",
		"blank":            leaf + " ",
		"newline":          strings.Replace(leaf, ",", ",\n", 1),
		"unknown member":   replace(`,"v":3}`, `,"v":3,"w":1}`),
		"duplicate member": replace(`,"v":3}`, `,"v":3,"v":3}`),
		"missing member":   replace(`"request_id":"r-1",`, ``),
		"null uses":        `{` + leaf[1:strings.Index(leaf, `"uses":`)] + `"uses":null,"v":3}`,
		"null rules":       replace(`"rules":["grant-1"]`, `"rules":null`),
		"other order":      `{"v":3,` + strings.TrimSuffix(leaf[1:], `,"v":3}`) + `}`,
		"escaped":          replace(`"window"`, `"\u0077indow"`),
		"version":          replace(`"v":3`, `"v":5`),
		"version 4 of 3":   replace(`"v":3`, `"v":4`),
		"version 0":        replace(`"v":3`, `"v":0`),
		"float":            replace(`"v":3`, `"v":3.0`),
		"no time":          replace(`2026-11-23T04:05:06.789Z`, `yesterday`),
		"time zone":        replace(`2026-11-23T04:05:06.789Z`, `2026-11-23T04:05:06.789+00:00`),
		"no milliseconds":  replace(`06.789Z`, `06Z`),
		"impossible day":   replace(`2026-11-23`, `2026-02-30`),
		"evidence":         replace(`"evidence":"`, `"evidence":"A`),
		"padded digest":    replace(`"policy":"A`, `"policy":"=`),
		"stray bits":       replace(draft().Policy, strings.Repeat("A", 42)+"B"),
		"proof missing":    replace(`"operator_proof":"asserted",`, ``),
		"proof unknown":    replace(`"operator_proof":"asserted"`, `"operator_proof":"trusted"`),
		"proof of nobody":  replace(`"operator_proof":"asserted"`, `"operator_proof":"none"`),
		"no changes":       replace(`"evidence":`, `"changes":"","evidence":`),
		"changes":          replace(`"evidence":`, `"changes":"x","evidence":`),
		"need 0":           replace(`"need":1`, `"need":0`),
		"need 4":           replace(`"need":1`, `"need":4`),
		"need below":       replace(`"need":1`, `"need":-1`),
		"commitment":       replace(`"holder":"`, `"holder":"x`),
		"too long":         replace(`"system":"window"`, `"system":"`+strings.Repeat("w", audit.MaxRecord)+`"`),
		"holder":           replace(`"holder":"`, `"holder":"x`),
		"operator":         replace(`"operator":"`, `"operator":"x`),
		"not UTF-8":        replace(`window`, "win\xffow"),
		"deep":             strings.Repeat("[", 10000),
	} {
		if r, err := audit.ParseRecord([]byte(bad)); !errors.Is(err, audit.ErrRecord) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// earlier is what an earlier version wrote instead of a leaf without changes: no members of version 3.
func earlier(leaf string, version int) string {
	leaf = strings.NewReplacer(`"operator_proof":"asserted",`, ``, `"need":1,`, ``).Replace(leaf)
	return strings.Replace(leaf, `"v":3`, fmt.Sprintf(`"v":%d`, version), 1)
}

// Records of versions 1 and 2 stay records; they have no members of later versions, and no version has a text beside its commitment.
func TestParseRecordVersions(t *testing.T) {
	d := draft()
	d.RequestID, d.CommittedRequestID = "", "r-1"
	for i := range d.Uses {
		d.Uses[i].Case, d.Uses[i].CommittedCase = "", "c-1"
	}
	leaf := string(newBench(t).record(t, d).Record)
	plain := goodLeaf(t)
	nobody := draft()
	nobody.Operator, nobody.Uses[0].Person = "", license.HolderID{}
	for name, good := range map[string]struct {
		leaf    string
		version int
	}{
		"version 1": {earlier(plain, 1), 1}, "version 2": {earlier(plain, 2), 2}, "version 3": {plain, 3},
		"version 2 with commitments": {earlier(leaf, 2), 2}, "version 3 with commitments": {leaf, 3},
		"version 3 of nobody":    {string(newBench(t).record(t, nobody).Record), 3},
		"version 3 with changes": {strings.Replace(plain, `"evidence":`, `"changes":"`+encodedZero+`","evidence":`, 1), 3},
	} {
		if r, err := audit.ParseRecord([]byte(good.leaf)); err != nil || r.V != good.version {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	vouched := draft()
	vouched.OperatorProof, vouched.OperatorService, vouched.OperatorRoles = audit.OperatorByCall, "staff-id", []string{"clerk", "head"}
	fourth := string(newBench(t).record(t, vouched).Record)
	fourthWith := func(old, with string) string {
		if !strings.Contains(fourth, old) {
			t.Fatalf("%s is not in %s", old, fourth)
		}
		return strings.Replace(fourth, old, with, 1)
	}
	if r, err := audit.ParseRecord([]byte(fourth)); err != nil || r.V != 4 || r.OperatorProof != audit.OperatorByCall || r.OperatorService != "staff-id" || !slices.Equal(r.OperatorRoles, vouched.OperatorRoles) {
		t.Errorf("version 4: %+v, %v", r, err)
	}
	if r, err := audit.ParseRecord([]byte(fourthWith(`"operator_roles":["clerk","head"],`, ``))); err != nil || r.OperatorRoles != nil {
		t.Errorf("version 4 without roles: %+v, %v", r, err)
	}
	longest := []string{strings.Repeat("r", audit.MaxRole)}
	for len(longest) < audit.MaxRoles {
		longest = append(longest, fmt.Sprint("s", len(longest)+10))
	}
	if _, err := audit.ParseRecord([]byte(fourthWith(`["clerk","head"]`, `["`+strings.Join(longest, `","`)+`"]`))); err != nil {
		t.Errorf("version 4 with as many and as long roles as there may be: %v", err)
	}
	second := earlier(plain, 2)
	one := func(member string) string { return leaf[strings.Index(leaf, member):][:len(member)+43] }
	for name, bad := range map[string]string{
		"version 0":                          earlier(plain, 0),
		"version 5":                          fourthWith(`"v":4`, `"v":5`),
		"members of version 2 in version 1":  earlier(leaf, 1),
		"a request commitment in version 1":  strings.ReplaceAll(strings.ReplaceAll(earlier(leaf, 1), one(`"case_commitment":"`)+`",`, ``), `"case":""`, `"case":"c-1"`),
		"a case commitment in version 1":     strings.Replace(strings.Replace(earlier(leaf, 1), one(`"request_commitment":"`)+`",`, ``, 1), `"request_id":""`, `"request_id":"r-1"`, 1),
		"operator_proof in version 2":        strings.Replace(second, `"policy":`, `"operator_proof":"none","policy":`, 1),
		"changes in version 2":               strings.Replace(second, `"evidence":`, `"changes":"`+encodedZero+`","evidence":`, 1),
		"need in version 2":                  strings.Replace(second, `"matter":"food",`, `"matter":"food","need":1,`, 1),
		"need in version 1":                  strings.Replace(earlier(plain, 1), `"matter":"food",`, `"matter":"food","need":1,`, 1),
		"operator_service in version 3":      fourthWith(`"v":4`, `"v":3`),
		"only operator_service in version 3": strings.Replace(plain, `"policy":`, `"operator_service":"staff-id","policy":`, 1),
		"operator of a session in version 3": strings.Replace(plain, `"operator_proof":"asserted"`, `"operator_proof":"session"`, 1),
		"operator_roles in version 3":        strings.Replace(plain, `"policy":`, `"operator_roles":["clerk"],"policy":`, 1),
		"operator_service missing":           fourthWith(`"operator_service":"staff-id",`, ``),
		"operator asserted by a service":     fourthWith(`"operator_proof":"call"`, `"operator_proof":"asserted"`),
		"no roles":                           fourthWith(`["clerk","head"]`, `[]`),
		"null roles":                         fourthWith(`["clerk","head"]`, `null`),
		"roles not sorted":                   fourthWith(`["clerk","head"]`, `["head","clerk"]`),
		"role twice":                         fourthWith(`["clerk","head"]`, `["clerk","clerk"]`),
		"empty role":                         fourthWith(`["clerk","head"]`, `["","clerk"]`),
		"long role":                          fourthWith(`"head"`, `"`+strings.Repeat("h", audit.MaxRole+1)+`"`),
		"too many roles":                     fourthWith(`["clerk","head"]`, `["`+strings.Join(strings.Split("abcdefghijklmnopq", ""), `","`)+`"]`),
		"an id beside its commitment":        strings.Replace(leaf, `"request_id":""`, `"request_id":"r-1"`, 1),
		"a case beside its commitment":       strings.Replace(leaf, `"case":""`, `"case":"c-1"`, 1),
		"an empty case commitment":           strings.Replace(leaf, one(`"case_commitment":"`), `"case_commitment":"`, 1),
		"no case commitment":                 strings.Replace(leaf, one(`"case_commitment":"`), `"case_commitment":"c-1`, 1),
		"no request commitment":              strings.Replace(leaf, one(`"request_commitment":"`), `"request_commitment":"r-1`, 1),
	} {
		if r, err := audit.ParseRecord([]byte(bad)); !errors.Is(err, audit.ErrRecord) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(goodLeaf(f)))
	f.Add([]byte(`{"v":3}`))
	f.Add([]byte(earlier(goodLeaf(f), 2)))
	f.Add([]byte(`{"answer_digest":"","evidence":"` + encodedZero + `","operation":"","policy":"","request_id":"","system":"","time":"2026-11-23T04:05:06.789Z","token_digest":"","uses":[],"v":3}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		r, err := audit.ParseRecord(leaf)
		if err != nil {
			return
		}
		again, err := canonical.Marshal(r)
		if err != nil || string(again) != string(leaf) {
			t.Errorf("read %q, wrote %q, %v", leaf, again, err)
		}
	})
}

func TestCanonical(t *testing.T) {
	got, err := canonical.Marshal(map[string]any{"é": 1, "a": []any{"<>&\u2028", -0, int64(9007199254740991)}, "": nil})
	if want := `{"":null,"a":["<>&` + "\u2028" + `",0,9007199254740991],"é":1}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for name, v := range map[string]any{"fraction": 1.5, "too large": int64(9007199254740992), "too small": int64(-9007199254740992), "exponent": 1e30, "not UTF-8": "\xff", "function": func() {}} {
		if got, err := canonical.Marshal(v); !errors.Is(err, canonical.ErrForm) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
