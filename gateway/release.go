package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/gateway/sources"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
	"oncegate/sheet"
)

// maxLicenses is how many licenses one answer holds.
const maxLicenses = 64

// release returns the licenses that were found, each with its granted disclosures only (selective disclosure), and notes which
// fields left. If the source returned another holder's license, or contradicts itself, nothing of its answer is used.
func (a *attempt) release(ctx context.Context, u *licenseUse) ([]api.License, error) {
	records := u.finding.Records
	if u.ask.Number != "" { // not every legacy system can look for one
		records = slices.DeleteFunc(slices.Clone(records), func(l license.License) bool { return l.Number != u.ask.Number })
	}
	if u.form != "" && len(records) > maxDocuments {
		u.outcome = outcomeRelease // that there are so many
		return nil, refuse("document-too-many").withUses(a.c.usesOf(u)...)
	}
	out := make([]api.License, 0, min(len(records), maxLicenses))
	for i, record := range records {
		switch {
		case !belongs(record, u.ask):
			return nil, u.unusable(a.c, "source-faulty", evidenceReason("record-of-other-holder", nil))
		case slices.ContainsFunc(records[:i], func(l license.License) bool { return reflect.DeepEqual(l, record) }):
			continue
		case len(out) == maxLicenses:
			u.outcome = outcomeRelease // that there are so many
			return nil, refuse("invalid-field").pointingAt("/number", "the holder has more licenses of this type than one answer holds: name one").withUses(a.c.usesOf(u)...)
		}
		l, d, err := a.disclose(ctx, u, record)
		if err == nil && u.form != "" {
			if code := a.whyNoCopy(u, d); code != "" {
				l.Undrawn = problemReason(code)
			} else {
				l.Document, err = a.annotated(ctx, u, d)
			}
		}
		if code := cmp.Or(u.unsignable(err), documentProblem(err)); code != "" {
			return nil, u.unusable(a.c, code, unsignedReasons(code, err))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// unusable refuses a use whose source returned records that cannot be released.
func (u *licenseUse) unusable(c *call, code string, why []api.Reason) *refusal {
	u.outcome, u.fields, u.versions = outcomeUnavailable, nil, nil
	u.released(u.compares...) // the refusal reveals that there is such a record
	return refuse(code).withUses(c.usesOf(u)...).withReasons(why)
}

// unsignedReasons are, for the evidence, why a license was not released or drawn, where the caller is told the problem of a code: each
// cause by its own name, with its error.
func unsignedReasons(code string, err error) []api.Reason {
	switch page := (*sheet.Error)(nil); {
	case errors.Is(err, register.ErrOutdated):
		code = "copy-outdated"
	case errors.Is(err, errContradiction):
		code = "records-contradictory"
	case errors.As(err, &page): // its text names a character, which is of a value
		err = fmt.Errorf("%s: %s", page.Code, page.Field)
	}
	return evidenceReason(code, err)
}

// unsignable is the code of a lasting reason why a license has no signed version; "" for any other error.
func unsignable(err error) string {
	switch {
	case errors.Is(err, register.ErrOutdated):
		return "source-unavailable" // the cached copy is outdated
	case errors.Is(err, register.ErrNoSigner):
		return "issuer-unknown"
	case errors.Is(err, register.ErrFaulty), errors.Is(err, errContradiction):
		return "source-faulty"
	}
	return ""
}

// unsignable is [unsignable] of a use. Where the cached copy is outdated, the use is refused for why its source did not answer.
func (u *licenseUse) unsignable(err error) string {
	if errors.Is(err, register.ErrOutdated) && errors.Is(u.sourceErr, sources.ErrNoSlot) {
		return "source-busy"
	}
	return unsignable(err)
}

// disclose selects the claims of one license that the decision releases. Claims about a holder are released only for holders whom
// the purpose is about.
func (a *attempt) disclose(ctx context.Context, u *licenseUse, record license.License) (api.License, disclosure, error) {
	signed, err := a.current(ctx, u, record)
	if err != nil {
		return api.License{}, disclosure{}, err
	}
	paths, left := make([]string, 0, len(signed.Claims)), make([]string, 0, len(signed.Claims))
	granted, fields := make([]license.Claim, 0, len(signed.Claims)), make(api.Fields, len(signed.Claims))
	for _, claim := range signed.Claims {
		if slices.Contains(u.decision.Fields, claim.Field) && (claim.Holder < 0 || u.isAbout(record.Holders[claim.Holder].HolderID)) {
			paths, left, fields[claim.Path] = append(paths, claim.Path), append(left, claim.Field), claim.Value
			granted = append(granted, claim)
		}
	}
	presented, err := signed.Present(paths)
	if err != nil {
		return api.License{}, disclosure{}, err
	}
	u.released(left...)
	u.versions = append(u.versions, signed.Version.Identifier)
	return api.License{
		LicenseType: record.Type, License: presented, Identifier: signed.Version.Identifier, Version: signed.Version.Number,
		Status: api.Status(a.c.effectiveStatus(signed.Version, record)), Fields: fields, Flags: u.flags(record),
		Source: u.finding.Source, Freshness: a.c.config.freshness(u.finding), AsOf: api.At(u.finding.AsOf),
	}, disclosure{record, signed, granted}, nil
}

// A disclosure is a record with its signed version and its released claims.
type disclosure struct {
	record  license.License
	signed  register.Signed
	granted []license.Claim
}

// effectiveStatus is a license's status on the day of the call. The register's counts: a cached copy may be older.
func (c *call) effectiveStatus(known register.Version, record license.License) license.Status {
	record.Status = known.Status
	return record.StatusAt(license.DateOf(c.now))
}

// flags are the faults of the granted fields only: a fault of another field, or of another holder's claim, would reveal something
// about it.
func (u *licenseUse) flags(record license.License) (out []api.Flag) {
	for _, f := range record.Flags {
		name, place, ofHolder := strings.Cut(f.Field, ".")
		if !slices.Contains(u.decision.Fields, name) {
			continue
		}
		if ofHolder && !slices.ContainsFunc(holderAt(record, place), func(h license.Holder) bool { return u.isAbout(h.HolderID) }) {
			continue
		}
		out = append(out, api.Flag{Field: f.Field, Reason: f.Reason})
	}
	return out
}

// decided is the decision as the caller sees it.
func decided(d policy.Decision) api.Decision {
	return api.Decision{Rules: d.Rules, Fields: notNil(d.Fields), Obligations: d.Obligations, Reasons: ofPolicy(d.Reasons)}
}

// An attempt is the unit of work of one attempt at a call: what it has signed, and the changes that commit with its record.
// Deciding again starts with a new one.
type attempt struct {
	g       *Gateway
	c       *call
	signed  map[string]signed // by type, issuer and license number
	kept    map[license.Question]bool
	sealed  map[string]register.Original // by identifier
	changes []any
}

// signed is a record with its signed version.
type signed struct {
	record  license.License
	version register.Signed
}

func (g *Gateway) newAttempt(c *call) *attempt {
	return &attempt{g: g, c: c, signed: make(map[string]signed), kept: make(map[license.Question]bool), sealed: make(map[string]register.Original)}
}

// result is the outcome of an attempt: the answer, its uses, and the changes with their preconditions.
func (a *attempt) result(ctx context.Context, answer any, wanted []*licenseUse) *result {
	uses := a.c.usesOf(wanted...)
	a.keepCopies(ctx, wanted)
	return &result{answer: answer, uses: uses, changes: append(preconditions(a.c, wanted), a.changes...)}
}

// errContradiction: a source returned one license with two contents within one call.
var errContradiction = errors.New("the source returned one license with two different contents")

// current returns the signed version of a license as the source states it now, signing it if its content is new.
func (a *attempt) current(ctx context.Context, u *licenseUse, l license.License) (register.Signed, error) {
	key := strings.Join([]string{l.Type, l.Issuer.Code, l.Number}, "\x00")
	if s, ok := a.signed[key]; ok {
		if !reflect.DeepEqual(s.record, l) {
			return register.Signed{}, errContradiction
		}
		return s.version, nil
	}
	version, changes, err := a.c.config.Register.Current(ctx, l, u.finding.AsOf)
	if errors.Is(err, register.ErrOutdated) && !u.finding.Stale {
		return version, &outdatedFinding{u.ask}
	}
	if err != nil {
		return version, err
	}
	a.signed[key] = signed{l, version}
	a.changes = append(a.changes, changes...)
	return version, nil
}

// observeStatus records the status of a license that is not released but was signed before. A record that breaks the rules is
// ignored.
func (a *attempt) observeStatus(ctx context.Context, record license.License, asOf time.Time) error {
	changes, err := a.c.config.Register.Observe(ctx, record, asOf)
	if err != nil && !errors.Is(err, register.ErrFaulty) {
		return err
	}
	a.changes = append(a.changes, changes...)
	return nil
}

// keepCopies caches what the sources answered, "not found" too, for when they are down, where some grant allows a stale copy.
func (a *attempt) keepCopies(ctx context.Context, wanted []*licenseUse) {
	for _, u := range wanted {
		a.keepCopy(ctx, u)
		if u.confirm != nil {
			a.keepCopy(ctx, u.confirm)
		}
	}
}

func (a *attempt) keepCopy(ctx context.Context, u *licenseUse) {
	fresh := !u.finding.Stale && (u.finding.State == license.IsFound || u.finding.State == license.IsNotFound)
	longest := a.c.config.Policy.LongestAge(u.ask.Type, a.c.now)
	if !fresh || longest <= 0 || a.kept[u.ask] {
		return
	}
	for _, record := range u.finding.Records {
		if !belongs(record, u.ask) {
			return
		}
	}
	a.kept[u.ask] = true
	changes, err := a.c.config.Register.KeepCopy(ctx, u.ask, u.finding, longest)
	if err != nil {
		a.g.logger.Error("copy of a source record could not be cached", "source", u.finding.Source, "error", err.Error())
		return
	}
	a.changes = append(a.changes, changes...)
}

// holderAt is the holder at an index of a license's list, if there is one.
func holderAt(record license.License, place string) []license.Holder {
	i, err := strconv.Atoi(place)
	if err != nil || i < 0 || i >= len(record.Holders) {
		return nil
	}
	return record.Holders[i : i+1]
}

// drawInTurn draws a document in the system's turn: it takes a processor 20 to 35 ms.
func (a *attempt) drawInTurn(ctx context.Context, draw func(context.Context) ([]byte, error)) ([]byte, error) {
	leave, ok := a.g.intake.Heavy(ctx, a.c.principal.System)
	if !ok {
		return nil, fmt.Errorf("wait to draw a document: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded))
	}
	defer leave()
	return draw(ctx)
}
