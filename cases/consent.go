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

// What evidences a consent: an assertion that the holder or an identity service signed, or that the holder gave it in the call, signed in by
// an identity service.
const (
	EvidenceHolder   = "holder"
	EvidenceIdentity = "identity-service"
	EvidenceSession  = "session"
)

const maxCovered = 64 // license types or matters of one consent

// CheckConsent checks a consent to be given: id, holder's code, system, known types and matters, an expiry ahead and no farther than
// longest, and the evidence with its digest. The error is Flaws.
func CheckConsent(book *Book, cat *license.Catalogue, c Consent, now time.Time, longest time.Duration) error {
	var f Flaws
	f.unless(opaque.MatchString(c.ID) && !strings.HasPrefix(c.ID, spentPrefix), "id", BadNumber)
	f.holder("holder", cat, c.Holder)
	f.unless(c.System != "", "system", BadSystem)
	f.unless(len(c.Types) > 0 && len(c.Types) <= maxCovered, "types", BadLicenseType)
	f.unless(len(c.Matters) <= maxCovered, "matters", MatterUnknown)
	for i, id := range c.Types[:min(len(c.Types), maxCovered)] {
		_, ok := cat.Type(id)
		_, filed := book.FilingType(id)
		f.unless((ok || filed) && !slices.Contains(c.Types[:i], id), fmt.Sprintf("types[%d]", i), BadLicenseType)
	}
	for i, code := range c.Matters[:min(len(c.Matters), maxCovered)] {
		_, ok := book.Matter(code)
		f.unless(ok && !slices.Contains(c.Matters[:i], code), fmt.Sprintf("matters[%d]", i), MatterUnknown)
	}
	f.unless(c.Expires.After(now), "expires", ConsentExpired)
	f.unless(!c.Expires.After(now.Add(longest)), "expires", ConsentTooLong)
	f.unless(c.Evidence == EvidenceHolder || c.Evidence == EvidenceIdentity || c.Evidence == EvidenceSession, "evidence", BadEvidence)
	f.unless(canonical.IsDigest(c.Digest), "digest", BadDigest)
	return f.err()
}

// Within returns the consent as it counts where none lives longer than longest after it was given: also one that was given while they
// lived longer.
func (c Consent) Within(longest time.Duration) Consent {
	if end := c.Given.Add(longest); c.Expires.After(end) {
		c.Expires = end
	}
	return c
}

// spentPrefix begins the ids of used and withdrawn assertions among the consents; no consent has such an id.
const spentPrefix = "assertion."

// SpentID is the id under which an assertion that was used or withdrawn stands among the consents. digest is the SM3 of the assertion in
// base64url.
func SpentID(digest string) string { return spentPrefix + digest }

// Spent is what stands among the consents when an assertion is used or withdrawn: it covers nothing and names nobody. To Give it is
// refused with ErrRegistered where the assertion was used or withdrawn before.
func Spent(digest, system string, expires, at time.Time) Consent {
	return Consent{ID: SpentID(digest), System: system, Expires: expires, Evidence: EvidenceIdentity, Digest: digest, Given: at, Withdrawn: at}
}

// Covers returns nil if the consent covers a question at a moment, else the first Reason against it. The license type is
// the material's, whether the question names it or not; a matter not named is covered only by a consent to any.
func (c Consent) Covers(q Asked, licenseType string, at time.Time) error {
	switch {
	case c.Holder.Normal() != q.Holder.Normal():
		return ConsentOtherHolder
	case c.System != q.Asker:
		return ConsentOtherSystem
	case !c.Withdrawn.IsZero():
		return ConsentWithdrawn
	case !at.Before(c.Expires):
		return ConsentExpired
	case !slices.Contains(c.Types, licenseType):
		return ConsentOtherLicense
	case len(c.Matters) > 0 && !slices.Contains(c.Matters, q.Matter):
		return ConsentOtherMatter
	}
	return nil
}

// CheckReceived checks what the window says it received for an open case: a material of one of the case's matters, how,
// and a digest exactly with an upload. A promise is possible only where the matter lets the material follow. The error is
// Flaws.
func CheckReceived(book *Book, c Case, r Received) error {
	var f Flaws
	f.unless(c.No == r.Case && r.Case != "", "case", BadNumber)
	f.unless(c.IsOpen(), "case", CaseClosed)
	f.unless(r.By != "", "by", BadSystem)
	f.unless(!r.At.IsZero(), "at", NoTime)
	switch r.How {
	case HowUploaded:
		f.unless(canonical.IsDigest(r.Digest), "digest", BadDigest)
	case HowPromised, HowWaived:
		f.unless(r.Digest == "", "digest", BadDigest)
	default:
		f.unless(false, "how", BadHow)
	}
	matter, reason := book.matterFor(c, r.Matter)
	if reason != "" || r.Matter == "" {
		f.unless(false, "matter", cmp.Or(reason, MatterNotInCase))
		return f.err()
	}
	material, ok := matter.Material(r.Material)
	f.unless(ok, "material", MaterialNotListed)
	f.unless(!ok || r.How != HowPromised || material.Fallback.follows(), "how", NoPromise)
	return f.err()
}
