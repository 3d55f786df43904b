package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/tlog"
)

// readAnswered takes an answered document apart and verifies its receipt, once. Its steps say what is wrong where it is none.
func (s *sheaf) readAnswered(document []byte) answered {
	digest := sm.DigestB64(document)
	d, ok := s.read[digest]
	if !ok {
		d = s.proveAnswered(document)
		s.read[digest] = d
	}
	return d
}

func (s *sheaf) proveAnswered(document []byte) (d answered) {
	var err error
	if d.answer, d.receipt, err = audit.SplitAnswer(document); err != nil {
		d.steps.fail("document", err.Error())
		return d
	}
	d.steps.ok("document", "")
	d.prove(s)
	return d
}

// prove verifies the receipt against the answer, and against the call's token where it is at hand.
func (d *answered) prove(s *sheaf) {
	trust, err := s.logOf(d.receipt.Checkpoint)
	if err != nil {
		d.steps.fail("log-known", err.Error())
		return
	}
	p := audit.Proof{Receipt: d.receipt, Answer: d.answer, Token: s.tokenOf(d.receipt)}
	var list []license.Step
	d.record, list, err = audit.VerifyReceipt(p, trust)
	d.steps = append(d.steps, list...)
	d.proven = err == nil
	if err != nil && len(list) == 0 {
		d.steps.fail("receipt", err.Error())
	}
}

// logOf returns the trust in the log that a checkpoint names.
func (t *Trust) logOf(checkpoint string) (audit.Trust, error) {
	c, err := tlog.ParseCheckpoint(checkpoint)
	if err != nil {
		return audit.Trust{}, err
	}
	trust, known := t.logs[c.Origin]
	if !known {
		return audit.Trust{}, errors.New("the checkpoint is of a log that the trust does not name")
	}
	return trust, nil
}

// tokenOf finds the token of the call that a receipt is of, among the artefacts; "" if it is not there.
func (s *sheaf) tokenOf(r tlog.Receipt) string {
	record, err := audit.ParseRecord(r.Record)
	if err != nil {
		return ""
	}
	for _, call := range s.calls {
		if sm.DigestB64([]byte(call)) == record.TokenDigest {
			return call
		}
	}
	return ""
}

// answered verifies {answer, receipt} or a problem document: the receipt, every license inside, and that the record's uses
// say what the answer says.
func (s *sheaf) answered(document []byte) steps {
	d := s.readAnswered(document)
	done := slices.Clip(d.steps)
	if d.answer == nil || d.record.V == 0 {
		return done
	}
	var a contents
	if err := json.Unmarshal(d.answer, &a); err != nil {
		done.fail("answer-read", "the answer is not of the contract's form")
		return done
	}
	done.result("operation-in-record", a.operation(d.record))
	if a.Operation == "licenses.query" || a.Operation == "cases.check" {
		done.result("uses-in-record", a.uses(d.record))
	}
	done = append(done, s.persons(d)...)
	for i, l := range a.all() {
		prefix := fmt.Sprintf("license[%d]", i)
		done.under(prefix, s.license(l.License, &d))
		done.under(prefix, l.steps())
	}
	if a.Receipt != nil {
		done.under("receipt-inside", s.receipt(a.Receipt))
	}
	return done
}

// contents are the parts of an answer that can be verified; answers of all operations share them.
type contents struct {
	Operation string                `json:"operation"`
	Time      string                `json:"time"`
	Licenses  []api.License         `json:"licenses"`
	Materials []api.CheckedMaterial `json:"materials"`
	Receipt   jsontext.Value        `json:"receipt"`
}

// A released is one license in an answer.
type released struct {
	License, Identifier, Type string
	Version                   int
	Fields                    api.Fields
}

func (a contents) all() (list []released) {
	for _, l := range a.Licenses {
		list = append(list, released{l.License, l.Identifier, l.LicenseType, l.Version, l.Fields})
	}
	for _, m := range a.Materials {
		if m.License != "" {
			list = append(list, released{m.License, m.Identifier, m.LicenseType, m.Version, m.Fields})
		}
	}
	return list
}

func (a contents) operation(r audit.Record) error {
	if a.Operation != r.Operation {
		return errors.New("the record is of another operation")
	}
	return nil
}

// uses checks that each thing the answer says about a material or a license stands in the record, decided for that use, and
// that no field left that the record does not name.
func (a contents) uses(r audit.Record) error {
	for _, l := range a.Licenses {
		if !slices.ContainsFunc(r.Uses, func(u audit.Use) bool {
			return u.Decision == "release" && u.LicenseType == l.LicenseType && u.Source == l.Source &&
				sameFreshness(u.Freshness, l.Freshness, l.AsOf) && covers(u.Fields, l.Fields)
		}) {
			return errors.New("the record names no release of a license that is in the answer")
		}
	}
	for _, m := range a.Materials {
		if !slices.ContainsFunc(r.Uses, func(u audit.Use) bool {
			return u.Matter == m.Matter && u.Material == m.Material && u.Decision == string(m.State) &&
				(m.License == "" || u.Source == m.Source && sameFreshness(u.Freshness, m.Freshness, m.AsOf)) && covers(u.Fields, m.Fields)
		}) {
			return errors.New("the record does not say of a material what the answer says")
		}
	}
	return nil
}

// sameFreshness compares "drop 2026-11-23T01:00:00.000Z" of a record with what the answer says.
func sameFreshness(recorded string, f api.Freshness, asOf api.Time) bool {
	kind, at, timed := strings.Cut(recorded, " ")
	return kind == string(f) && (!timed || at == asOf.String())
}

// covers reports whether every released path is of a recorded field: "holder_name.0" is of "holder_name".
func covers(recorded []string, fields api.Fields) bool {
	for path := range fields {
		name, _, _ := strings.Cut(path, ".")
		if !slices.Contains(recorded, name) && !slices.Contains(recorded, path) {
			return false
		}
	}
	return true
}

// steps compares what the answer says beside a license with what the license says.
func (l released) steps() (done steps) {
	c, err := readLicense(l.License)
	if err != nil {
		return nil // the license's own steps have failed
	}
	switch {
	case c.ID != l.Identifier || c.Version != l.Version:
		err = errors.New("the license has another identifier or version than the answer says")
	case l.Type != "" && c.Type != l.Type:
		err = errors.New("the license is of another type than the answer says")
	case !c.says(l.Fields):
		err = errors.New("the license discloses other fields than the answer says")
	}
	done.result("fields-as-disclosed", err)
	return done
}

// receipt verifies a receipt alone.
func (s *sheaf) receipt(data []byte) (done steps) {
	r, err := tlog.ParseReceipt(data)
	if err != nil {
		done.fail("receipt-form", err.Error())
		return done
	}
	d := answered{receipt: r}
	for _, a := range s.answers { // the answer may be at hand under another name
		if string(a.receipt.Record) == string(r.Record) && a.receipt.Index == r.Index {
			d.answer = a.answer
		}
	}
	d.prove(s)
	return d.steps
}

// checkpoint verifies a checkpoint alone.
func (s *sheaf) checkpoint(data []byte) (done steps) {
	trust, err := s.logOf(string(data))
	if err != nil {
		done.fail("log-known", err.Error())
		return done
	}
	_, list, err := tlog.VerifyCheckpoint(string(data), trust.Trust)
	for _, step := range list {
		done = append(done, license.Step{Name: step.Name, State: license.StepState(step.State), Reason: step.Reason})
	}
	if err != nil && len(list) == 0 {
		done.fail("checkpoint", err.Error())
	}
	done.witness(string(data), trust.Witnesses)
	return done
}
