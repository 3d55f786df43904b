package verdict

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/tlog"
)

// readAnswered takes an answered document apart and verifies its receipt, once. Its steps say what is wrong where it is none.
func (s *batch) readAnswered(document []byte) answered {
	digest := sm.DigestB64(document)
	d, ok := s.read[digest]
	if !ok {
		d = s.proveAnswered(document)
		s.read[digest] = d
	}
	return d
}

func (s *batch) proveAnswered(document []byte) (d answered) {
	var err error
	if d.answer, d.receipt, err = audit.SplitAnswer(document); err != nil {
		if errors.Is(err, audit.ErrNoReceipt) {
			d.steps.CannotCheck("document", "it has no receipt: nothing shows that a gateway gave this answer")
		} else {
			d.steps.Fail("document", err.Error())
		}
		return d
	}
	d.steps.Pass("document", "")
	d.contents = readContents(d.answer)
	d.prove(s)
	return d
}

// prove verifies the receipt against the answer, and against the call's token where it is at hand.
func (d *answered) prove(s *batch) {
	trust, err := s.logOf(d.receipt.Checkpoint)
	if err != nil {
		d.steps.Fail("log-known", err.Error())
		return
	}
	p := audit.Proof{Receipt: d.receipt, Answer: d.answer, Split: true, Token: s.tokenOf(d.receipt)}
	var list []check.Step
	d.record, list, err = audit.VerifyReceipt(p, trust)
	d.steps = append(d.steps, list...)
	d.proven = err == nil
	if t, err := canonical.ParseTime(d.record.Time); err == nil {
		d.at = t.Time
	}
	if err != nil && len(list) == 0 {
		d.steps.Fail("receipt", err.Error())
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
func (s *batch) tokenOf(r tlog.Receipt) string {
	record, err := audit.ParseRecord(r.Record)
	if err != nil {
		return ""
	}
	return s.calls[record.TokenDigest]
}

// answered verifies {answer, receipt} or a problem document: the receipt, every license inside, and that the record's uses
// say what the answer says.
func (s *batch) answered(document []byte) check.Steps {
	d := s.readAnswered(document)
	done := slices.Clip(d.steps)
	s.noteCheckpoint(d.receipt.Checkpoint)
	if d.answer == nil || d.record.V == 0 {
		return done
	}
	if d.contents == nil {
		done.Fail("answer-read", "the answer is not of the contract's form")
		return done
	}
	a, uses := d.contents, d.contents.Operation == "licenses.query" || d.contents.Operation == "cases.check"
	switch {
	case !d.proven: // what nobody signed says nothing
		done.CannotCheck("operation-in-record", "the record is not proven")
		if uses {
			done.CannotCheck("uses-in-record", "the record is not proven")
		}
	default:
		s.current.found.subject = api.Sentence{
			En: fmt.Sprintf("the answer to %s of record %d", d.record.Operation, d.receipt.Index),
			Zh: fmt.Sprintf("对 %s 的答复（记录 %d）", d.record.Operation, d.receipt.Index),
		}
		done.Result("operation-in-record", a.operation(d.record))
		s.operatorProof(&done, d)
		done.Result("answer-time", a.time(d.at))
		if uses {
			done.Result("uses-in-record", a.uses(d.record))
		}
	}
	done = append(done, s.persons(d)...)
	for i, l := range a.all() {
		if s.ctx.Err() != nil {
			return done
		}
		prefix := fmt.Sprintf("license[%d]", i)
		done.Under(prefix, s.license(l.License, &d))
		done.Under(prefix, l.steps())
	}
	if a.Receipt != nil {
		done.Under("receipt-inside", s.receipt(a.Receipt))
	}
	return done
}

// readContents reads an answer, nil when it is not of the contract's form. It counts first: an element of nothing takes two bytes
// of an answer and half a kilobyte here.
func readContents(answer []byte) *contents {
	var count struct {
		Licenses  []jsontext.Value `json:"licenses"`
		Materials []jsontext.Value `json:"materials"`
	}
	var said contents
	if json.Unmarshal(answer, &count, canonical.Checked) != nil || len(count.Licenses) > maxLicenses || len(count.Materials) > maxMaterials || json.Unmarshal(answer, &said, canonical.Checked) != nil {
		return nil
	}
	return &said
}

// The contract's bounds of an answer.
const (
	maxLicenses  = 64
	maxMaterials = 512
)

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

// all are the licenses that an answer released. What licenses.list lists was released to nobody: it names licenses only.
func (a contents) all() (list []released) {
	if a.Operation == "licenses.list" {
		return nil
	}
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

// maxDelay is the longest time between the moment that an answer names and that of its record.
const maxDelay = 15 * time.Minute

// time holds the moment that the answer names against the one at which it was recorded: a moment that nobody logged proves
// nothing.
func (a contents) time(recorded time.Time) error {
	said, err := canonical.ParseTime(a.Time)
	switch {
	case err != nil:
		return errors.New("the answer names no time")
	case said.After(recorded.Add(5*time.Second)) || said.Before(recorded.Add(-maxDelay)):
		return errors.New("the answer names another time than its record")
	}
	return nil
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
func (l released) steps() (done check.Steps) {
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
	done.Result("fields-as-disclosed", err)
	return done
}

// receipt verifies a receipt alone.
func (s *batch) receipt(data []byte) (done check.Steps) {
	r, err := tlog.ParseReceipt(data)
	if err != nil {
		done.Fail("receipt-form", err.Error())
		return done
	}
	d := answered{receipt: r}
	for _, a := range s.answers { // the answer may be at hand under another name
		if string(a.receipt.Record) == string(r.Record) && a.receipt.Index == r.Index {
			d.answer = a.answer
		}
	}
	d.prove(s)
	if d.proven {
		s.operatorProof(&d.steps, d)
	}
	s.noteCheckpoint(r.Checkpoint)
	return d.steps
}

// checkpoint verifies a checkpoint alone.
func (s *batch) checkpoint(data []byte) (done check.Steps) {
	trust, err := s.logOf(string(data))
	if err != nil {
		done.Fail("log-known", err.Error())
		return done
	}
	_, list, err := tlog.VerifyCheckpoint(string(data), trust.Trust)
	for _, step := range list {
		done = append(done, check.Step{Name: step.Name, State: check.State(step.State), Reason: step.Reason})
	}
	if err != nil && len(list) == 0 {
		done.Fail("checkpoint", err.Error())
	}
	s.noteCheckpoint(string(data))
	done = append(done, audit.WitnessStep(string(data), trust.Witnesses))
	if trust.Quorum.Need > 0 {
		done = append(done, audit.QuorumStep(trust.Quorum.Judge(audit.Cosignatures(string(data), trust.Witnesses)), trust.Quorum))
	}
	return done
}

// noteCheckpoint notes in which log an artefact stands, and how many witnesses have co-signed the checkpoint that it came with.
func (s *batch) noteCheckpoint(checkpoint string) {
	if s.current.found.checkpoint != "" {
		return // a receipt inside an answer is of another record
	}
	s.current.found.checkpoint = checkpoint
	log, err := s.logOf(checkpoint)
	if err != nil {
		return
	}
	all := audit.Cosignatures(checkpoint, log.Witnesses)
	w := &api.Witnessed{Of: len(all)}
	for _, one := range all {
		if one.State == check.OK {
			w.Count, w.By = w.Count+1, append(w.By, one.Witness)
		}
	}
	if q := log.Quorum; q.Need > 0 {
		judged := q.Judge(all)
		w.Quorum = &api.WitnessQuorum{Need: q.Need, Of: len(q.Organizations()), By: judged.Organizations, BothTrees: judged.BothTrees, Trees: api.WitnessQuorumTreesNone}
		switch {
		case judged.StandsBoth:
			w.Quorum.Trees = api.WitnessQuorumTreesBoth
		case judged.Stands:
			w.Quorum.Trees = api.WitnessQuorumTreesSHA256
		}
		if judged.Stands {
			w.Quorum.Time = api.At(judged.Time)
		}
	}
	s.current.Beside.Witnessed = w
}

// compareHistories holds everything that a log signed against everything else of the same log. Two that contradict one another
// are both refuted: which of them is the forgery, the log's operator must say, who signed both.
func (s *batch) compareHistories() {
	history := tlog.NewHistory(sm.New)
	compared := make(map[string][]int) // by log
	for i, a := range s.all {
		c, receipt, ok := s.loggedBy(i, a.Data)
		if !ok {
			continue
		}
		compared[c.Origin] = append(compared[c.Origin], i)
		err := history.Add(strconv.Itoa(i), c)
		if err == nil && receipt != nil {
			err = history.AddReceipt(strconv.Itoa(i), c, *receipt)
		}
		if fork, ok := errors.AsType[*tlog.ForkError](err); ok {
			s.fork(*fork)
		}
	}
	for origin, files := range compared {
		step := check.Step{Name: "one-history", State: check.OK}
		if !history.Proven(origin) {
			step.State, step.Reason = check.NotCheckable, "nothing here shows that the longer log begins with the shorter one"
		}
		for _, i := range files {
			if _, forked := s.histories[i]; !forked && len(files) > 1 {
				s.histories[i] = step
			}
		}
	}
}

// fork refutes both artefacts of a contradiction, each once.
func (s *batch) fork(f tlog.ForkError) {
	a, _ := strconv.Atoi(f.A)
	b, _ := strconv.Atoi(f.B)
	f.A, f.B = cmp.Or(s.all[a].Name, "file "+f.A), cmp.Or(s.all[b].Name, "file "+f.B)
	for _, i := range []int{a, b} {
		if old, is := s.histories[i]; !is || old.State != check.Failed {
			s.histories[i] = check.Step{Name: "one-history", State: check.Failed, Reason: f.Error()}
		}
	}
}

// loggedBy returns the checkpoint of an artefact, and its receipt if it has one, when the log's signatures hold.
func (s *batch) loggedBy(i int, data []byte) (tlog.Checkpoint, *tlog.Receipt, bool) {
	switch s.kinds[i] {
	case Answer, Refusal:
		if d := s.readAnswered(data); d.proven {
			c, err := tlog.ParseCheckpoint(d.receipt.Checkpoint)
			return c, &d.receipt, err == nil
		}
	case Receipt:
		if r, err := tlog.ParseReceipt(data); err == nil {
			d := answered{receipt: r}
			d.prove(s)
			c, err := tlog.ParseCheckpoint(r.Checkpoint)
			return c, &r, d.proven && err == nil
		}
	case Checkpoint:
		if trust, err := s.logOf(string(data)); err == nil {
			c, _, err := tlog.VerifyCheckpoint(string(data), trust.Trust)
			return c, nil, err == nil
		}
	}
	return tlog.Checkpoint{}, nil, false
}

// A picture shows a license and carries no signature. It is one of these forms by its first bytes.
var pictures = []struct{ form, begin string }{{"pdf", "%PDF-"}, {"png", "\x89PNG\r\n"}, {"svg", "<svg "}}

// isPicture tells whether an artefact is a PDF, PNG or SVG.
func isPicture(data []byte) bool { return pictureForm(data) != "" }

// pictureForm is the form of a picture as answers name it; "" for what is none.
func pictureForm(data []byte) string {
	for _, p := range pictures {
		if bytes.HasPrefix(data, []byte(p.begin)) {
			return p.form
		}
	}
	if bytes.HasPrefix(data, []byte("<?xml ")) && bytes.Contains(data[:min(len(data), 256)], []byte("<svg ")) {
		return "svg"
	}
	return ""
}

// picture looks for the answer that released a picture: nothing else proves it. Where answers released pictures of this form, and
// this is none of them, it is refuted: it was changed, or is of another answer.
func (s *batch) picture(data []byte) (done check.Steps) {
	const name = "picture-released"
	form, others := pictureForm(data), 0
	for _, d := range s.answers {
		for _, document := range d.documents() {
			switch {
			case document.SM3 == sm.DigestB64(data):
				done.Pass(name, "an answer among the files, whose receipt holds, released it")
				return done
			case string(document.Form) == form:
				others++
			}
		}
	}
	if others > 0 {
		done.Fail(name, fmt.Sprintf("answers among the files released other %s files than this one: it was changed, or is of another answer", form))
		return done
	}
	done.CannotCheck(name, "a picture carries no signature, and no answer that released it is among the files")
	return done
}

// documents are the files that an answer released.
func (d *answered) documents() (list []api.LicenseDocument) {
	var a struct {
		Document api.LicenseDocument `json:"document"`
		Licenses []struct {
			Document api.LicenseDocument `json:"document"`
		} `json:"licenses"`
		Materials []struct {
			Document api.LicenseDocument `json:"document"`
		} `json:"materials"`
	}
	if json.Unmarshal(d.answer, &a, canonical.Checked) != nil {
		return nil
	}
	if a.Document.Form != "" {
		list = append(list, a.Document)
	}
	for _, l := range a.Licenses {
		list = append(list, l.Document)
	}
	for _, m := range a.Materials {
		list = append(list, m.Document)
	}
	return list
}
