package explanation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
	"oncegate/tlog"
)

// record tells who asked what, as the record of a receipt has it.
func (w *writer) record(receipt tlog.Receipt, err error) {
	w.section("Who asked what")
	if err != nil {
		w.noReceipt(err)
		return
	}
	r, err := audit.ParseRecord(receipt.Record)
	if err != nil {
		w.say("The record cannot be read: it is damaged, or of a newer version of the gateway.")
		return
	}
	w.asked(r.System, r.Operation, r.Time)
	w.operator(r)
	if r.RequestID != "" {
		w.say("Request id (the same for a call that was tried again): %s", clean(r.RequestID))
	}
	w.uses(r.Uses)
}

func (w *writer) noReceipt(err error) {
	if errors.Is(err, audit.ErrNoReceipt) {
		w.say("There is no receipt: nothing here says who asked, or that it was recorded.")
		return
	}
	w.say("The receipt cannot be read.")
}

func (w *writer) asked(system, operation, at string) {
	w.say("System %s called %s (%s), recorded at %s.", orNobody(w, system), clean(operation), w.operationTitle(operation), w.timeText(at))
}

func orNobody(w *writer, system string) string {
	if system == "" {
		return w.Message("(none: the gateway itself)")
	}
	return clean(system)
}

// operationTitle is what an operation does, in words.
func (w *writer) operationTitle(id string) string {
	if contract, err := api.NewContract(); err == nil {
		if op := contract.Operation(id); op != nil {
			return w.pick(op.Title.Zh, op.Title.En)
		}
	}
	return w.Message("an operation that is not known here")
}

// operator tells how the person who acted is known.
func (w *writer) operator(r audit.Record) {
	switch r.OperatorProof {
	case audit.OperatorBySession:
		w.say("The person who acted was signed in: identity service %s says so. Roles: %s.", clean(r.OperatorService), w.orNone(r.OperatorRoles))
	case audit.OperatorByCall:
		w.say("The person who acted confirmed this very call: identity service %s says so. Roles: %s.", clean(r.OperatorService), w.orNone(r.OperatorRoles))
	case audit.OperatorAsserted:
		w.say("Who acted is the calling system's own word (asserted). The record holds a commitment, not the name.")
	case audit.OperatorNone:
		w.say("No person acted.")
	default:
		w.say("How the person who acted is known, the record does not say (schema %d).", r.V)
	}
}

func (w *writer) orNone(list []string) string {
	if len(list) == 0 {
		return w.Message("none")
	}
	return w.names(list)
}

// uses tells the uses of a record, one a line: the matter, the license type, the outcome and its rules.
func (w *writer) uses(uses []audit.Use) {
	for _, u := range uses {
		w.use(api.AuditUse{
			Basis: u.Basis, Case: u.Case, Decision: u.Decision, Fields: u.Fields, Freshness: u.Freshness, LicenseType: u.LicenseType,
			Material: u.Material, Matter: u.Matter, Need: u.Need, Rules: u.Rules, Source: u.Source,
		}, u.CaseCommitment != "")
	}
}

func (w *writer) use(u api.AuditUse, committed bool) {
	var parts []string
	add := func(format string, value string) {
		if value != "" {
			parts = append(parts, w.Sprintf(format, clean(value)))
		}
	}
	add("case %s", u.Case)
	if committed {
		parts = append(parts, w.Message("a case number as the caller wrote it (a commitment)"))
	}
	add("matter %s", u.Matter)
	add("material %s", u.Material)
	if u.Basis != "case" {
		add("legal basis %s", u.Basis)
	}
	add("license type %s", u.LicenseType)
	parts = append(parts, w.Sprintf("outcome %s", w.outcome(u.Decision)))
	if len(u.Fields) > 0 {
		parts = append(parts, w.Sprintf("fields %s", w.names(u.Fields)))
	}
	if len(u.Rules) > 0 {
		parts = append(parts, w.Sprintf("by the rules %s", w.names(u.Rules)))
	}
	add("source %s", u.Source)
	if u.Freshness != "" {
		parts = append(parts, w.freshness(u.Freshness))
	}
	w.add("• " + strings.Join(parts, w.Message("; ")))
}

// outcomes are the decisions of uses, and the states of materials, in words.
var outcomes = map[string]string{
	"release": "released: fields left", "status": "the status left", "confirm": "compared inside the gateway to confirm a role; nothing left",
	"unconfirmed": "a role was not confirmed", "missing": "missing: the source has none", "denied": "denied: nothing left",
	"unavailable": "unavailable: the source did not answer", "unmatched": "the source has other licenses than the one asked about",
	"noted": "noted: no license was asked for", "met": "met from the source", "on-file": "on file from an earlier case: it need not be brought", "filed": "filed: verified by the window", "withdrawn": "withdrawn from the file", "lapsed": "lapsed: not in force", "mismatched": "mismatched: not what the matter asks for",
	"covered": "covered: the window has received it otherwise", "searched": "searched in the records", "told": "the holder was told who used their licenses", "disputed": "the holder does not recognise the use", "opened": "evidence was opened", "listed": "listed: how it stands was told", "unchecked": "not checked yet", "issued": "issued: what the case ends with",
	"normal": "judged: nothing is wrong", "referred": "judged: referred to a department", "false-alarm": "judged: a false alarm", "rendered": "drawn for its own department", "needed": "must be brought",
}

func (w *writer) outcome(decision string) string {
	if text, ok := outcomes[decision]; ok {
		return w.Message(text)
	}
	return clean(decision)
}

// freshness is how current what the source said is: "live 2026-11-23T01:00:00.000Z".
func (w *writer) freshness(text string) string {
	word, at, _ := strings.Cut(text, " ")
	return w.fresh(api.Freshness(word), at)
}

func (w *writer) fresh(word api.Freshness, at string) string {
	switch word {
	case api.FreshnessLive:
		return w.Sprintf("live as of %s", w.timeText(at))
	case api.FreshnessDrop:
		return w.Sprintf("from a file of %s", w.timeText(at))
	case api.FreshnessStale:
		return w.Sprintf("a kept copy of %s, because the source was down", w.timeText(at))
	}
	if word == "filed" {
		return w.Sprintf("filed at %s", w.timeText(at))
	}
	return clean(string(word))
}

// timeText is a time of a file for a person: in Chinese that of China.
func (w *writer) timeText(text string) string {
	at, err := canonical.ParseTime(text)
	if err != nil {
		return clean(text)
	}
	return w.time(at)
}

func (w *writer) time(at api.Time) string {
	if at.IsZero() {
		return w.Message("(no time)")
	}
	return at.In(license.Shanghai()).Format("2006-01-02 15:04:05 -0700")
}

// proof tells what a receipt is good for.
func (w *writer) proof(receipt tlog.Receipt, err error, answered bool) {
	w.section("What the receipt proves, once verified")
	if err != nil {
		w.noReceipt(err)
		return
	}
	w.say("It names record %d of a log.", receipt.Index)
	if !w.checkpoint(receipt.Checkpoint) {
		w.say("Its checkpoint cannot be read.")
	}
	if answered {
		w.say("That the gateway recorded this answer before it left: the record binds its bytes, the call, and the rules that decided. Whoever files it can prove to others what was answered.")
	} else {
		w.say("That this record stands in the log. Which answer and which call it is about, the receipt alone does not show.")
	}
	w.say("Not that the source's data is right, nor that a license is still in force today.")
}

// checkpoint tells what a checkpoint says, and reports whether it can be read.
func (w *writer) checkpoint(text string) bool {
	c, err := tlog.ParseCheckpoint(text)
	if err != nil {
		return false
	}
	w.say("Log %s, %d entries. The same is signed over a SHA-256 tree and an SM3 tree.", clean(c.Origin), c.Size)
	w.out.Verifiable = true
	own, others := signers(text, c.Origin)
	w.say("Signature lines of the log itself: %d.", own)
	if len(others) == 0 {
		w.say("No witness has co-signed it: its operator could show you one history and somebody else another.")
	} else {
		w.say("Co-signed by others: %s.", w.names(others))
	}
	return true
}

// signers are the names of a note's signature lines that are not the log's own, each once.
func signers(text, origin string) (own int, others []string) {
	_, lines, _ := strings.Cut(text, "\n\n")
	for line := range strings.Lines(lines) {
		rest, ok := strings.CutPrefix(line, "— ")
		name, _, ok2 := strings.Cut(rest, " ")
		switch {
		case !ok || !ok2:
		case name == origin:
			own++
		case !slices.Contains(others, name):
			others = append(others, name)
		}
	}
	return own, others
}

// counted is a number with what it counts, as a share.
func counted(c api.Counts) string { return fmt.Sprintf("%d / %d", c.Numerator, c.Denominator) }
