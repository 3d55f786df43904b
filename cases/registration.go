package cases

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/canonical"
	"oncegate/license"
)

const (
	maxParties = 64
	firstYear  = 1900             // of acceptance: microseconds of an earlier one need not fit what JSON carries exactly (Register.Bound)
	clockSkew  = 60 * time.Second // of signed calls
)

// A Flaw is one thing wrong in what a caller registers.
type Flaw struct {
	Path   string // in the call's body, such as "parties[1].holder.code"
	Reason Reason //
}

// Flaws is everything wrong in what a caller registers, at once. It is an error whose text names no value.
type Flaws []Flaw

// Error lists the flaws.
func (f Flaws) Error() string {
	texts := make([]string, len(f))
	for i, flaw := range f {
		texts[i] = flaw.Path + ": " + string(flaw.Reason)
	}
	return "check registration: " + strings.Join(texts, ", ")
}

// Unwrap returns the reasons, so that errors.Is finds each.
func (f Flaws) Unwrap() []error {
	reasons := make([]error, len(f))
	for i, flaw := range f {
		reasons[i] = flaw.Reason
	}
	return reasons
}

func (f *Flaws) unless(ok bool, path string, reason Reason) {
	if !ok {
		*f = append(*f, Flaw{path, reason})
	}
}

// err is nil without flaws; a plain conversion would make a non-nil error of no flaws.
func (f Flaws) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Normal returns the case as it is stored: codes in normal form, times in UTC and whole milliseconds.
func (c Case) Normal() Case {
	c.Parts = slices.Clone(c.Parts)
	c.Parties = slices.Clone(c.Parties)
	for i := range c.Parties {
		c.Parties[i].Holder = c.Parties[i].Holder.Normal()
	}
	for _, t := range []*time.Time{&c.Accepted, &c.Registered, &c.Closed} {
		*t = t.UTC().Truncate(time.Millisecond)
	}
	return c
}

// CheckCase checks a registration in normal form: a number of 1 to 64 of A-Z a-z 0-9 . _ -, a known matter, parts of its
// chain, exactly one applicant, roles that the matter (for a chain: one of its matters) knows, codes with right check
// characters, no party twice, acceptance from 1900 on and not in the future. The error is Flaws.
func CheckCase(book *Book, cat *license.Catalogue, c Case, now time.Time) error {
	var f Flaws
	f.unless(opaque.MatchString(c.No), "no", BadNumber)
	f.unless(c.Registrar != "", "registrar", BadRegistrar)
	f.unless(c.Attestation.AtLeast(Self), "attestation", BadAttestation)
	f.unless(!c.Accepted.IsZero(), "accepted", NoTime)
	f.unless(!c.Accepted.After(now.Add(clockSkew)), "accepted", InFuture)
	f.unless(c.Accepted.IsZero() || c.Accepted.Year() >= firstYear, "accepted", TooEarly)
	matter, ok := book.Matter(c.Matter)
	f.unless(ok, "matter", MatterUnknown)
	f.parts(matter, c.Parts)
	if len(c.Parties) > maxParties {
		f.unless(false, "parties", TooManyParties)
		return f.err()
	}
	f.unless(len(c.InRole(Applicant)) == 1, "parties", ApplicantCount)
	f.parties(book.MattersOf(c), cat, c.Parties)
	return f.err()
}

func (f *Flaws) parts(matter Matter, parts []Part) {
	if len(parts) > len(matter.Chain) {
		f.unless(false, "parts", BadParts)
		return
	}
	for i, part := range parts {
		ok := slices.Contains(matter.Chain, part.Matter) && !slices.Contains(parts[:i], part)
		f.unless(ok, fmt.Sprintf("parts[%d]", i), BadParts)
	}
}

func (f *Flaws) parties(matters []Matter, cat *license.Catalogue, parties []Party) {
	seen := map[Party]bool{}
	for i, p := range parties {
		at := fmt.Sprintf("parties[%d]", i)
		known := slices.ContainsFunc(matters, func(m Matter) bool { _, ok := m.Role(p.Role); return ok })
		// Without a matter there is nothing to compare the role with; that fault is reported already.
		f.unless(known || p.Role == Applicant || len(matters) == 0, at+".role", RoleUnknown)
		f.unless(!seen[p], at, DuplicateParty)
		seen[p] = true
		f.holder(at+".holder", cat, p.Holder)
	}
}

func (f *Flaws) holder(at string, cat *license.Catalogue, holder license.HolderID) {
	switch reason := license.ReasonOf(cat.CheckHolder(holder)); reason {
	case "":
	case license.UnknownCode:
		f.unless(false, at+".type", Reason(reason))
	default:
		f.unless(false, at+".code", Reason(reason))
	}
}

// Statement returns the canonical bytes (RFC 8785) of what the registrar states, for digesting and comparing: number,
// registrar, matter, parts, attestation, parties and acceptance, whatever their order. What the gateway adds later
// (registration, closing, revision) is no part of it.
func (c Case) Statement() ([]byte, error) {
	c = c.Normal()
	slices.SortFunc(c.Parts, func(a, b Part) int { return cmp.Compare(a.Matter, b.Matter) })
	slices.SortFunc(c.Parties, func(a, b Party) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Holder.Type, b.Holder.Type), cmp.Compare(a.Holder.Code, b.Holder.Code))
	})
	c.Registered, c.Closed, c.Revision = time.Time{}, time.Time{}, 0
	text, err := canonical.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write case statement: %w", license.WrongText)
	}
	return text, nil
}

// SameStatement reports whether two registrations state the same: then the second answers as the first did.
func SameStatement(a, b Case) bool {
	left, errLeft := a.Statement()
	right, errRight := b.Statement()
	return errLeft == nil && errRight == nil && string(left) == string(right)
}
