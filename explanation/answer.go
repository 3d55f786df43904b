package explanation

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/canonical"
	"oncegate/language"
	"oncegate/tlog"
)

// answer explains an answer with its receipt.
func (w *writer) answer(raw jsontext.Value, receipt tlog.Receipt, err error) {
	var head struct {
		Operation string `json:"operation"`
	}
	_ = json.Unmarshal(raw, &head, canonical.Checked) // what is not there is told as unknown
	if head.Operation == "audit.evidence" {
		w.kind("evidence of a record")
	} else {
		w.kind("answer with its receipt")
	}
	w.record(receipt, err)
	w.section("What was answered")
	if w.pages {
		w.say("This is a report of several pages; the first is explained.")
	}
	if tell, ok := tellers[head.Operation]; !ok {
		w.say("An answer of the operation %s, which is not explained further.", clean(head.Operation))
	} else if !tell(w, raw) {
		w.say("The answer is not of the form that this operation has.")
	}
	w.proof(receipt, err, true)
}

// tellers tell the answers of the operations.
var tellers = map[string]func(*writer, jsontext.Value) bool{
	"licenses.query":  telling((*writer).query),
	"licenses.status": telling((*writer).status),
	"licenses.verify": telling((*writer).verified),
	"licenses.order":  telling(func(w *writer, a api.OrderAnswer) { w.version(a.License); w.rules(a.Rules) }),
	"licenses.list":   telling((*writer).list),
	"licenses.issue":  telling((*writer).issued),
	"sources.try":     telling((*writer).tried),
	"licenses.render": telling((*writer).rendered),
	"cases.register":  telling((*writer).registered),
	"cases.list":      telling((*writer).caseList),
	"cases.read":      telling((*writer).caseStanding),
	"cases.check":     telling((*writer).checked),
	"cases.materials": telling((*writer).received),
	"cases.result": telling(func(w *writer, a api.ResultAnswer) {
		w.say("License %s (%s), version %d, was issued as what case %s ends with.", clean(a.Identifier), clean(a.LicenseType), a.Version, clean(a.Case))
		w.rules(a.Rules)
	}),
	"cases.file": telling(func(w *writer, a api.FileAnswer) {
		w.say("Material %s of case %s is on file as %s (%s), trust level %s; it may be used until %s and its file is kept until %s.", clean(a.Material), clean(a.Case), clean(a.Filing), clean(a.FilingType), clean(a.Level), clean(a.ValidUntil), w.time(a.KeptUntil))
		w.rules(a.Rules)
	}),
	"filings.withdraw": telling(func(w *writer, a api.UnfileAnswer) {
		w.say("%d filed materials are withdrawn; what was used before stays valid.", len(a.Filings))
		for _, f := range a.Filings {
			w.add("• " + w.Sprintf("%s (%s), withdrawn at %s", clean(f.Filing), clean(f.FilingType), w.time(f.Withdrawn)))
		}
	}),
	"cases.represent": telling(func(w *writer, a api.RepresentAnswer) {
		w.say("Who comes in case %s was recorded: %s.", clean(a.Case), clean(string(a.Kind)))
		w.rules(a.Rules)
	}),
	"cases.close": telling(func(w *writer, a api.CloseAnswer) {
		w.say("Case %s was closed at %s.", clean(a.Case), w.time(a.Closed))
	}),
	"cases.handover": telling(func(w *writer, a api.HandOverAnswer) {
		w.say("The file of case %s was handed over to the archive at %s; digest of the package %s.", clean(a.Case), w.time(a.HandedOver), clean(string(a.Digest)))
		w.rules(a.Rules)
	}),
	"precheck":          telling((*writer).prechecked),
	"consents.give":     telling((*writer).consent),
	"consents.withdraw": telling((*writer).consent),
	"consents.list": telling(func(w *writer, a api.ConsentsAnswer) {
		w.say("%d consents of the holder.", len(a.Consents))
		for _, k := range a.Consents {
			w.consent(api.ConsentAnswer{ID: k.ID, Types: k.Types, Matters: k.Matters, Expires: k.Expires, Withdrawn: k.Withdrawn})
		}
	}),
	"catalog.types":   telling(func(w *writer, a api.TypesAnswer) { w.say("%d license types.", len(a.Types)) }),
	"catalog.matters": telling(func(w *writer, a api.MattersAnswer) { w.say("%d matters.", len(a.Matters)) }),
	"audit.search":    telling((*writer).found),
	"audit.evidence":  telling((*writer).evidence),
	"audit.export":    telling((*writer).report),
	"audit.reuse":     telling((*writer).reuse),
	"audit.erase":     telling((*writer).erased),
	"audit.receipt":   telling((*writer).receiptOf),
	"audit.record":    telling((*writer).shown),
	"audit.summary":   telling((*writer).summary),
	"audit.dispose": telling(func(w *writer, a api.DisposeAnswer) {
		w.say("Record %d is judged: %s.", a.Index, w.disposition(a.Disposition))
	}),
	"holders.accesses": telling((*writer).accesses),
	"holders.dispute": telling(func(w *writer, a api.DisputeAnswer) {
		w.say("The holder does not recognise record %d. It is noted for the auditors.", a.Record)
	}),
	"receipts": telling((*writer).receiptOf),
	"node.status": telling(func(w *writer, a api.NodeAnswer) {
		if a.Node.Ready {
			w.say("The node takes calls.")
		} else {
			w.say("The node takes no calls.")
		}
		w.say("Log %s has %d records.", a.Log.Origin, a.Log.Size)
		for _, f := range a.Findings {
			if f.State == api.NodeFindingStateOk {
				continue
			}
			text := f.Says.En
			if f.Do.En != "" {
				text += ": " + f.Do.En
			}
			if w.Language == language.Chinese {
				text = f.Says.Zh
				if f.Do.Zh != "" {
					text += "：" + f.Do.Zh
				}
			}
			w.add("• " + text)
		}
	}),
}

// telling reads an answer of one type. Members that a newer gateway adds are passed over.
func telling[T any](tell func(*writer, T)) func(*writer, jsontext.Value) bool {
	return func(w *writer, raw jsontext.Value) bool {
		var a T
		if json.Unmarshal(raw, &a, canonical.Checked) != nil {
			return false
		}
		tell(w, a)
		return true
	}
}

func (w *writer) query(a api.QueryAnswer) {
	if a.Found == api.FoundNotFound {
		w.say("The source answered and has no such license. That is knowledge: it is not the same as a source that is down.")
		w.advise("not-found")
	}
	for _, l := range a.Licenses {
		w.say("License %s (%s), version %d: %s.", clean(l.Identifier), clean(l.LicenseType), l.Version, w.standing(l.Status))
		w.source(l.Source, l.Freshness, l.AsOf)
		w.fields(l.Fields)
		w.undrawn(l.Undrawn)
	}
	w.decision(a.Decision)
}

func (w *writer) status(a api.StatusAnswer) {
	w.say("License %s, version %d: %s.", clean(a.Identifier), a.Version, w.standing(a.Status))
	w.source(a.Source, a.Freshness, a.AsOf)
	if a.SupersededBy.Identifier != "" {
		w.say("It was superseded by %s.", clean(a.SupersededBy.Identifier))
	}
	w.decision(a.Decision)
}

// checked tells each material of a case: its state, why, what goes in its place, and what was released.
func (w *writer) checked(a api.CheckAnswer) {
	if a.CanProceed {
		w.say("Case %s, matter %s: it can proceed.", clean(a.Case), clean(a.Matter))
	} else {
		w.say("Case %s, matter %s: it cannot proceed yet.", clean(a.Case), clean(a.Matter))
	}
	for _, p := range a.Parts {
		if !p.CanProceed {
			w.say("Of its matters, %s cannot proceed yet.", clean(p.Matter))
		}
	}
	for _, m := range a.Materials {
		w.add("• " + w.Sprintf("%s (%s, matter %s): %s", w.pick(m.Name, m.NameEn), clean(m.Material), clean(m.Matter), w.outcome(string(m.State))))
		if m.Reason.Code != "" {
			w.reason(m.Reason)
		}
		w.fallback(m.Fallback)
		if m.Source != "" {
			w.source(m.Source, m.Freshness, m.AsOf)
		}
		w.fields(m.Fields)
		w.undrawn(m.Undrawn)
		w.filed(m)
		w.obligations(m.Obligations)
		w.rules(m.Rules)
	}
	w.say("Materials met from their sources or on file / required: %s.", counted(a.Reuse))
}

// filed tells what stands in from an earlier case, or why nothing does.
func (w *writer) filed(m api.CheckedMaterial) {
	if f := m.Filed; f.Filing != "" {
		w.say("Filed material %s (%s), trust level %s, verified by %s of %s on %s, to be used until %s.", clean(f.Filing), clean(f.FilingType), w.orUntold(f.Level), w.orUntold(f.VerifiedBy), w.orUntold(f.Department), w.orUntold(f.FiledOn), w.orUntold(f.ValidUntil))
		w.say("It must be shown with: %s", w.pick(f.Watermark.Zh, f.Watermark.En))
	}
	if m.Unfiled.Code != "" {
		w.reason(m.Unfiled)
	}
}

func (w *writer) orUntold(text string) string {
	if text == "" {
		return w.Message("(not told)")
	}
	return clean(text)
}

// caseStanding tells each material of a case between checks, and what is due.
func (w *writer) caseStanding(a api.CaseReadAnswer) {
	w.say("Case %s, matter %s, accepted at %s: %d due, %d of them overdue.", clean(a.Case), clean(a.Matter), w.time(a.Accepted), a.Due, a.Overdue)
	if !a.Closed.IsZero() {
		w.say("Case %s was closed at %s.", clean(a.Case), w.time(a.Closed))
	}
	for _, m := range a.Materials {
		w.add("• " + w.Sprintf("%s (%s, matter %s): %s", w.pick(m.Name, m.NameEn), clean(m.Material), clean(m.Matter), w.outcome(string(m.State))))
		if m.Reason.Code != "" {
			w.reason(m.Reason)
		}
		switch {
		case m.Due.Kind == "":
		case m.Due.Overdue:
			w.say("Due since %s: overdue.", w.orOpen(m.Due.Deadline))
		default:
			w.say("Due by %s.", w.orOpen(m.Due.Deadline))
		}
	}
	w.rules(a.Rules)
}

func (w *writer) caseList(a api.CasesAnswer) {
	w.say("%d cases.", len(a.Cases))
	for _, c := range a.Cases {
		w.add("• " + w.Sprintf("%s, matter %s: %d due, %d of them overdue", clean(c.Case), clean(c.Matter), c.Due, c.Overdue))
	}
	if a.Next != "" {
		w.say("There are more pages.")
	}
	w.rules(a.Rules)
}

func (w *writer) prechecked(a api.PrecheckAnswer) {
	w.say("Pre-check of matter %s: whether a material would be met, and nothing else.", clean(a.Matter))
	for _, m := range a.Materials {
		w.add("• " + w.Sprintf("%s (%s): %s", w.pick(m.Name, m.NameEn), clean(m.Material), w.outcome(string(m.State))))
	}
}

func (w *writer) registered(a api.CaseAnswer) {
	w.say("Case %s of matter %s is registered since %s; attested by: %s.", clean(a.Case), clean(a.Matter), w.time(a.Registered), w.attestation(a.Attestation))
	if len(a.Parts) > 0 {
		w.say("Its matters: %s.", w.names(a.Parts))
	}
}

func (w *writer) attestation(a api.Attestation) string {
	switch a {
	case api.AttestationPlatform:
		return w.Message("the acceptance platform")
	case api.AttestationHolder:
		return w.Message("the holder's signed assertion")
	case api.AttestationSelf:
		return w.Message("the calling system alone")
	}
	return clean(string(a))
}

func (w *writer) received(a api.MaterialAnswer) {
	w.say("Case %s, matter %s, material %s: recorded as %s.", clean(a.Case), clean(a.Matter), clean(a.Material), w.how(a.How))
	if a.Deadline != "" {
		w.say("To be made good by %s.", clean(a.Deadline))
	}
}

func (w *writer) how(h api.How) string {
	switch h {
	case api.HowUploaded:
		return w.Message("uploaded by the applicant")
	case api.HowPromised:
		return w.Message("promised")
	case api.HowWaived:
		return w.Message("waived")
	}
	return clean(string(h))
}

func (w *writer) consent(a api.ConsentAnswer) {
	w.say("Consent %s: license types %s, until %s.", clean(a.ID), w.orNone(a.Types), w.time(a.Expires))
	if len(a.Matters) > 0 {
		w.say("For the matters %s only.", w.names(a.Matters))
	}
	if !a.Withdrawn.IsZero() {
		w.say("It was withdrawn at %s and cannot be used any more.", w.time(a.Withdrawn))
	}
}

func (w *writer) verified(a api.VerifyAnswer) {
	w.add(w.pick(a.Says.Zh, a.Says.En))
	w.say("That is what the gateway found when it was asked: %d steps.", len(a.Steps))
	for _, s := range a.Steps {
		if s.State != api.StepStateOk {
			w.add("• " + clean(s.Name) + ": " + clean(s.Reason))
		}
	}
}

func (w *writer) list(a api.ListAnswer) {
	w.say("%d signed versions of licenses.", len(a.Licenses))
	for _, v := range a.Licenses {
		w.version(v)
	}
	if a.Next != "" {
		w.say("There are more: ask with after = %s.", clean(a.Next))
	}
	w.rules(a.Rules)
}

func (w *writer) version(v api.SignedVersion) {
	w.say("License %s (%s), version %d: %s.", clean(v.Identifier), clean(v.LicenseType), v.Version, w.standing(v.Status))
	if v.Ordered != "" {
		w.say("By an order of its department (%s) of %s.", clean(v.Ordered), w.time(v.OrderedAt))
	}
}

func (w *writer) issued(a api.IssueAnswer) {
	counts := make(map[api.IssuedHolderState]int)
	for _, h := range a.Holders {
		counts[h.State]++
	}
	w.say("%d holders were asked for.", len(a.Holders))
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		w.add("• " + clean(string(state)) + ": " + w.Sprintf("%d", counts[state]))
	}
	for i, h := range a.Holders {
		if h.Reason.Code != "" {
			w.say("Holder %d of the call: %s", i+1, clean(string(h.State)))
			w.reason(h.Reason)
		}
	}
	w.rules(a.Rules)
}

func (w *writer) tried(a api.TryAnswer) {
	switch {
	case a.Reason.Code != "":
		w.say("Source %s was tried, and did not answer:", clean(a.Source))
		w.reason(a.Reason)
	case len(a.Licenses) == 0:
		w.say("Source %s was tried: the holder has no such license.", clean(a.Source))
	case a.Shown:
		w.say("Source %s was tried: %d licenses, with their values.", clean(a.Source), len(a.Licenses))
	default:
		w.say("Source %s was tried: %d licenses, masked.", clean(a.Source), len(a.Licenses))
	}
	w.rules(a.Rules)
}

func (w *writer) rendered(a api.RenderAnswer) {
	w.say("License %s, version %d: %s, drawn as %s.", clean(a.Identifier), a.Version, w.standing(a.Status), clean(string(a.Document.Form)))
	w.source(a.Source, a.Freshness, a.AsOf)
	w.rules(a.Rules)
}

func (w *writer) found(a api.SearchAnswer) {
	w.say("%d records of log %s.", len(a.Records), clean(a.Log))
	w.records(a.Records)
	if a.Next != 0 {
		w.say("There are older ones: ask with before = %d.", a.Next)
	}
}

func (w *writer) records(list []api.AuditRecord) {
	for _, r := range list[:min(len(list), maxNames)] {
		w.say("Record %d: system %s called %s at %s.", r.Index, orNobody(w, r.System), clean(r.Operation), w.time(r.Time))
		for _, u := range r.Uses {
			w.use(u, false)
		}
	}
	if more := len(list) - maxNames; more > 0 {
		w.say("And %d more records.", more)
	}
}

// evidence tells why a record was decided as it was.
func (w *writer) evidence(a api.EvidenceAnswer) {
	w.records([]api.AuditRecord{a.Record})
	if len(a.Reasons) == 0 {
		w.say("The evidence has no reasons: what was asked for was allowed.")
	} else {
		w.say("The real reasons, also where the caller was told less:")
	}
	for _, r := range a.Reasons {
		w.reason(r)
	}
	for _, p := range a.Persons {
		w.say("Person in the record: type %s, code %s.", clean(p.Type), w.masked(p.Code))
	}
	if a.Request.Token != "" {
		w.say("The call itself, its token and body, is in the file.")
	}
	if len(a.Erased) > 0 {
		w.say("Erased by order of record %d: %s.", a.ErasedBy, w.names(a.Erased))
	}
}

func (w *writer) report(a api.ExportAnswer) {
	w.say("A report on log %s from %s to %s.", clean(a.Log), w.time(a.From), w.time(a.To))
	w.say("%d records on this page.", a.Total)
	if a.Complete {
		w.say("It says that this is all that matched.")
	} else {
		w.say("It has further pages: one page alone does not hold all that matched.")
	}
	for _, d := range a.Decisions {
		w.add("• " + w.outcome(d.Decision) + ": " + w.Sprintf("%d", d.Uses))
	}
}

func (w *writer) reuse(a api.ReuseAnswer) {
	w.say("Materials met from their sources / required, from %s to %s: %s.", w.time(a.From), w.time(a.To), counted(a.Total))
	for _, m := range a.Matters {
		w.add("• " + clean(m.Matter) + ": " + counted(api.Counts{Numerator: m.Numerator, Denominator: m.Denominator}))
	}
}

// dispositions are how auditors judge records, in words.
var dispositions = map[api.Disposition]string{
	api.DispositionNormal: "nothing is wrong", api.DispositionReferred: "referred to a department", api.DispositionFalseAlarm: "a false alarm",
}

func (w *writer) disposition(d api.Disposition) string {
	if text, ok := dispositions[d]; ok {
		return w.Message(text)
	}
	return clean(string(d))
}

func (w *writer) shown(a api.RecordAnswer) {
	w.records([]api.AuditRecord{a.Record})
	for _, r := range a.Rules {
		w.add("• " + clean(r.ID) + ": " + clean(r.Agreement) + " " + clean(r.Basis))
	}
	if a.Case != nil && a.Case.Closed.IsZero() {
		w.say("Case %s has not ended.", clean(a.Case.Case))
	} else if a.Case != nil {
		w.say("Case %s was closed at %s.", clean(a.Case.Case), w.time(a.Case.Closed))
	}
	for _, j := range a.Judgements {
		w.say("Record %d is judged: %s.", a.Record.Index, w.disposition(j.Disposition))
	}
}

func (w *writer) summary(a api.SummaryAnswer) {
	for _, d := range a.Days {
		w.add("• " + w.Sprintf("%s: %d records; released %d, refused %d, unavailable %d", w.time(d.From), d.Records, d.Released, d.Refused, d.Unavailable))
	}
	if len(a.Disputes) > 0 {
		w.say("%d disputes of holders wait.", len(a.Disputes))
	}
}

func (w *writer) accesses(a api.AccessesAnswer) {
	w.say("From %s to %s the holder's licenses were used %d times that are told on this page.", w.time(a.From), w.time(a.To), len(a.Accesses))
	for _, one := range a.Accesses {
		for _, u := range one.Uses {
			w.add("• " + w.time(one.Time) + " " + clean(one.SystemName) + " " + clean(u.LicenseType) + ": " + w.outcome(u.Outcome))
		}
	}
	if a.Next != 0 {
		w.say("There are more, before record %d.", a.Next)
	}
	w.add(w.pick(clean(a.Says.Zh), clean(a.Says.En)))
}

func (w *writer) erased(a api.EraseAnswer) {
	if len(a.Parts) == 0 {
		w.say("Nothing was left to erase of record %d: an order before did.", a.Index)
		return
	}
	w.say("The personal evidence of record %d is erased (%s); the record itself stays.", a.Index, w.names(a.Parts))
}

func (w *writer) receiptOf(a api.ReceiptAnswer) {
	w.say("It brings the receipt of record %d:", a.Index)
	raw, err := json.Marshal(a.Receipt)
	if err != nil {
		return
	}
	inner, err := tlog.ParseReceipt(raw)
	if err != nil {
		w.say("The receipt cannot be read.")
		return
	}
	w.checkpoint(inner.Checkpoint)
}

// ---- parts of answers -------------------------------------------------------------------------------------------------

// decision tells what was allowed by which rules, and what was kept back.
func (w *writer) decision(d api.Decision) {
	w.say("Fields allowed: %s.", w.orNone(d.Fields))
	w.rules(d.Rules)
	w.obligations(d.Obligations)
	for _, r := range d.Reasons {
		w.reason(r)
	}
}

func (w *writer) rules(rules []string) {
	if len(rules) > 0 {
		w.say("Rules that decided: %s.", w.names(rules))
	}
}

func (w *writer) obligations(list []string) {
	if len(list) > 0 {
		w.say("Obligations on whoever uses it: %s.", w.names(list))
	}
}

// reason tells a reason and what to do about it.
func (w *writer) reason(r api.Reason) {
	line := w.Sprintf("Why: %s (%s", w.pick(r.Zh, r.En), clean(r.Code))
	if r.Rule != "" {
		line += w.Sprintf(", rule %s", clean(r.Rule))
	}
	w.add(line + w.Message(")"))
	w.advise(r.Code)
}

// advise tells what to do about a reason or a problem.
func (w *writer) advise(code string) {
	advice, ok := api.AdviceOn(code)
	if !ok {
		k, known := api.ByCode(code)
		if !known {
			return
		}
		advice = api.Sentence{Zh: k.AdviceZh, En: k.AdviceEn}
	}
	w.say("What to do: %s", w.pick(advice.Zh, advice.En))
}

func (w *writer) undrawn(r api.Reason) {
	if r.Code != "" {
		w.say("No document was drawn: %s (%s)", w.pick(r.Zh, r.En), clean(r.Code))
		w.advise(r.Code)
	}
}

func (w *writer) fallback(f api.Fallback) {
	switch f.Kind {
	case api.FallbackKindTolerate:
		w.say("Instead: tolerated for now (容缺), to be made good by %s.", w.orOpen(f.Deadline))
	case api.FallbackKindPromise:
		w.say("Instead: the applicant's promise (告知承诺), to be made good by %s.", w.orOpen(f.Deadline))
	case api.FallbackKindUpload:
		w.say("Instead: the applicant brings it.")
	}
}

func (w *writer) orOpen(deadline string) string {
	if deadline == "" {
		return w.Message("(no deadline)")
	}
	return clean(deadline)
}

func (w *writer) source(source string, fresh api.Freshness, at api.Time) {
	w.say("Source %s, %s.", clean(source), w.fresh(fresh, at.String()))
}

// fields tells what was released, by name.
func (w *writer) fields(f api.Fields) {
	if len(f) == 0 {
		return
	}
	w.say("Released:")
	for _, name := range slices.Sorted(maps.Keys(f)) {
		w.add("    " + clean(name) + strings.Repeat(" ", max(1, 28-len(clean(name)))) + w.value(name, f[name]))
	}
}

// standings are the statuses of licenses in words.
var standings = map[api.Status]string{
	api.StatusValid: "valid", api.StatusSuspended: "suspended", api.StatusRevoked: "revoked", api.StatusSuperseded: "superseded", api.StatusExpired: "expired",
}

func (w *writer) standing(s api.Status) string {
	if text, ok := standings[s]; ok {
		return w.Message(text)
	}
	return clean(string(s))
}
