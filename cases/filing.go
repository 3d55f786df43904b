package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"oncegate/license"
)

// A TrustLevel says how far a filed material may be relied on (可信等级, 国办函〔2016〕108号). Levels are data.
type TrustLevel struct {
	Level    string `yaml:"level"`    // "A"
	Name     string `yaml:"name"`     // what it means: 政府部门签发
	NameEN   string `yaml:"name_en"`  //
	Reusable bool   `yaml:"reusable"` // the next case may use the material as it is; otherwise it is kept as evidence only
}

// A Verification is a way in which a window verifies what it received (核验方式), with the trust level that follows.
type Verification struct {
	ID     string `yaml:"id"`      // "original-seen"
	Name   string `yaml:"name"`    // 核验原件
	NameEN string `yaml:"name_en"` //
	Level  string `yaml:"level"`   // one of the trust levels
	// OperatorProof is the weakest proof of the person who verified: "asserted" (also ""), "session" or "call".
	OperatorProof string `yaml:"operator_proof"`
}

// A FilingType is a type of material that windows file (存档材料). Materials of several matters that name one type are equivalent.
type FilingType struct {
	ID            string   `yaml:"id"`            // no id of the catalogue: grants, shares and consents name it like a license type
	Name          string   `yaml:"name"`          // 经营场所租赁合同
	NameEN        string   `yaml:"name_en"`       //
	ValidDays     int      `yaml:"valid_days"`    // days for which such a material may be used after it was filed, at most
	KeepDays      int      `yaml:"keep_days"`     // days after which its file is erased (留存期); at least valid_days
	Verifications []string `yaml:"verifications"` // ids of those that will do; empty: all
}

// A Filing is an uploaded material that a window received, verified once and filed (存档材料): the next case of the same holder need not
// ask for it again. The file is kept sealed beside it and erased at the end of its retention.
type Filing struct {
	ID     string
	Type   string           // FilingType
	Holder license.HolderID // whose material it is

	Case, Matter, Material string // where it was received
	Department, System     string // who filed it
	Verifier               string // code of the person who verified it
	Proof                  string // how that person was known: "asserted", "session" or "call"
	Verification, Level    string // how it was verified, and what follows

	Digest string       // base64url SM3 of the file
	Media  string       // media type of the file
	Size   int          // bytes of the file
	Filed  time.Time    //
	Until  license.Date // last day on which it may be used
	Keep   time.Time    // when the file is erased

	Withdrawn   time.Time // zero: stands. Uses of before stay valid.
	WithdrawnBy string    // ByHolder or ByDepartment
	Erased      time.Time // when the file was erased; zero: it is there
}

// Who withdrew a filing.
const (
	WithdrawnByHolder     = "holder"
	WithdrawnByDepartment = "department"
)

func isWithdrawer(by string) bool { return by == WithdrawnByHolder || by == WithdrawnByDepartment }

// Fields of a filed material that a grant may release. The field status tells that there is one.
const (
	FieldLevel        = "level"        // trust level
	FieldVerification = "verification" // how it was verified
	FieldVerifiedBy   = "verified_by"  // code of the person who verified it
	FieldDepartment   = "department"   // whose window filed it
	FieldFiledOn      = "filed_on"     // day
	FieldUntil        = "valid_until"  // last day
	FieldFile         = "file"         // the file itself
)

// FilingFields are the fields of every filed material, sorted.
func FilingFields() []string {
	return []string{FieldDepartment, FieldFile, FieldFiledOn, FieldLevel, license.FieldStatus, FieldUntil, FieldVerification, FieldVerifiedBy}
}

// Bounds of filed materials.
const (
	MaxFile     = 1 << 20 // bytes of a file
	MaxFilings  = 16      // filings of a type and a holder that one case looks at: the newest
	longestKeep = 36600   // days
)

// Why a material is not filed, or a filed one not used.
const (
	NotFilable      Reason = "filing-not-possible" // the matter does not say that the material may be filed
	NotReceived     Reason = "filing-not-received" // no upload of this digest was received for the material last
	BadVerification Reason = "filing-verification" // not in the list, or not one of the type's
	VerifierUnknown Reason = "filing-verifier"     // nobody acts, or is known too weakly
	BadFile         Reason = "filing-file"         // empty, too large, or not what its media type says
	BadUntil        Reason = "filing-valid-until"  // passed, or farther than the type allows

	FilingUnknown         Reason = "filing-unknown"
	FilingOtherHolder     Reason = "filing-of-other-holder"
	FilingOtherType       Reason = "filing-of-other-type"
	FilingOtherDepartment Reason = "filing-of-other-department"
	FilingNotGranted      Reason = "filing-not-granted" // no grant lets it be used for this purpose
	FilingExpired         Reason = "filing-expired"
	FilingBelowLevel      Reason = "filing-below-level" // its level may not be reused, or is weaker than the grant asks
	FilingErased          Reason = "filing-erased"      // the retention has ended
	FilingRecalled        Reason = "filing-withdrawn-by-department"
	FilingRevoked         Reason = "filing-withdrawn-by-holder"
)

// FilingStorage reads what windows filed.
//
// Implementations are safe for concurrent use and see every change whose record was answered.
type FilingStorage interface {
	// Filings returns the newest filings of a type of one holder, newest first, withdrawn, expired and erased ones too, at most limit.
	Filings(ctx context.Context, filingType string, holder license.HolderID, limit int) ([]Filing, error)
	// Filing returns one by its id; fs.ErrNotExist if there is none.
	Filing(ctx context.Context, id string) (Filing, error)
	// FiledFile returns the file of a filing that is not erased; fs.ErrNotExist if there is none.
	FiledFile(ctx context.Context, id string) ([]byte, error)
	// FilingsDue returns the ids of filings whose file is to be erased at a moment, at most limit: the retention has ended, and their case was
	// handed over to the archive (HandOver).
	FilingsDue(ctx context.Context, at time.Time, limit int) ([]string, error)
}

// Changes of filings that commit with a record; as with those of Storage.
type (
	// File adds a filing with its file. Refused with ErrRegistered if the id is taken, with ErrChanged if the case is closed. R is as in
	// Register, for holder and verifier.
	File struct {
		Filing  Filing
		Content []byte
		R       [32]byte
	}
	// Unfile withdraws a filing and erases its file. Refused with ErrChanged if it is withdrawn.
	Unfile struct {
		ID string
		By string // WithdrawnByHolder or WithdrawnByDepartment
		At time.Time
	}
	// EraseFile erases the file of a filing at the end of its retention. Refused with ErrChanged if it is erased.
	EraseFile struct {
		ID string
		At time.Time
	}
	// StillFiled changes nothing: it refuses the entry with ErrChanged if the filing was withdrawn or erased meanwhile.
	StillFiled struct{ ID string }
)

// FilingType returns the type of filed materials with an id.
func (b *Book) FilingType(id string) (FilingType, bool) {
	i := slices.IndexFunc(b.Filings, func(t FilingType) bool { return t.ID == id })
	if i < 0 {
		return FilingType{}, false
	}
	return b.Filings[i], true
}

// Verification returns the way of verifying with an id.
func (b *Book) Verification(id string) (Verification, bool) {
	i := slices.IndexFunc(b.Verifications, func(v Verification) bool { return v.ID == id })
	if i < 0 {
		return Verification{}, false
	}
	return b.Verifications[i], true
}

// TrustLevel returns the level with a name.
func (b *Book) TrustLevel(level string) (TrustLevel, bool) {
	i := slices.IndexFunc(b.Trust, func(l TrustLevel) bool { return l.Level == level })
	if i < 0 {
		return TrustLevel{}, false
	}
	return b.Trust[i], true
}

// Reaches returns the levels that a level is at least as strong as, itself first; empty for one that the book does not have.
func (b *Book) Reaches(level string) (levels []string) {
	for _, l := range b.Trust {
		if len(levels) > 0 || l.Level == level {
			levels = append(levels, l.Level)
		}
	}
	return levels
}

// TrustLevels returns all levels, strongest first.
func (b *Book) TrustLevels() []string {
	levels := make([]string, len(b.Trust))
	for i, l := range b.Trust {
		levels[i] = l.Level
	}
	return levels
}

// Usable returns nil if a filing can be used on a day, whoever asks; else the first Reason against it.
func (b *Book) Usable(f Filing, now time.Time) error {
	level, known := b.TrustLevel(f.Level)
	switch {
	case !f.Withdrawn.IsZero() && f.WithdrawnBy == WithdrawnByHolder:
		return FilingRevoked
	case !f.Withdrawn.IsZero():
		return FilingRecalled
	case !f.Erased.IsZero(), !now.Before(f.Keep):
		return FilingErased
	case f.Until.Before(license.DateOf(now)):
		return FilingExpired
	case !known || !level.Reusable:
		return FilingBelowLevel
	}
	return nil
}

// CheckFiling checks a filing to be made of what the window received for an open case: of a party in the material's role, verified by a
// person in a way that its type knows, with the file that was received. It fills in what follows from the book: type, level, last day and
// retention. received are those of the case, oldest first. The error is Flaws.
func CheckFiling(book *Book, c Case, f Filing, received []Received, file []byte, proofs []string) (Filing, error) {
	var bad Flaws
	matter, reason := book.matterFor(c, f.Matter)
	bad.unless(reason == "", "matter", reason)
	material, ok := matter.Material(f.Material)
	bad.unless(ok || reason != "", "material", MaterialNotListed)
	f.Matter = matter.Code
	t, filable := book.FilingType(material.Filing)
	bad.unless(!ok || filable, "material", NotFilable)
	if len(bad) > 0 {
		return f, bad
	}
	f.Type = t.ID
	party := Party{material.HolderRole(), f.Holder.Normal()}
	if f.Holder == (license.HolderID{}) {
		if all := c.InRole(party.Role); len(all) == 1 {
			party = all[0]
		}
	}
	bad.unless(slices.Contains(c.Parties, party), "holder", NotAParty)
	f.Holder = party.Holder
	last, got := Evidence{Facts: Facts{Matter: matter, Material: material}, Received: received}.received()
	bad.unless(got && last.How == HowUploaded && last.Digest == f.Digest, "content", NotReceived)
	bad.unless(len(file) > 0 && len(file) <= MaxFile && MediaOf(file) == f.Media, "content", BadFile)
	v, ok := book.Verification(f.Verification)
	bad.unless(ok && (len(t.Verifications) == 0 || slices.Contains(t.Verifications, v.ID)), "verification", BadVerification)
	bad.unless(f.Verifier != "" && slices.Index(proofs, f.Proof) >= slices.Index(proofs, cmp.Or(v.OperatorProof, "asserted")), "verification", VerifierUnknown)
	f.Level, f.Size = v.Level, len(file)
	today := license.DateOf(f.Filed)
	latest := license.DateOf(f.Filed.AddDate(0, 0, t.ValidDays))
	f.Until = cmp.Or(f.Until, latest)
	bad.unless(f.Until.Check() == nil && !f.Until.Before(today) && !latest.Before(f.Until), "valid_until", BadUntil)
	f.Keep = f.Filed.AddDate(0, 0, t.KeepDays)
	return f, bad.err()
}

// FilingCommitted is the value whose JCS form a record commits to.
func FilingCommitted(holder license.HolderID, verifier string) any {
	return [3]string{holder.Type, holder.Code, verifier}
}

// TakesFiling reports whether a filed material may stand in for a judged one: no source can have it, or the one that can is down, and the
// window received nothing for good. Where a source has answered, what it says counts; where it was not asked because the policy forbids it,
// or what it answers cannot be read, nobody knows what it would say.
func (e Evidence) TakesFiling(j Judgement) bool {
	if e.Facts.Material.Filing == "" || e.CoveredForGood() {
		return false
	}
	return j.State == Missing && (j.Reason == NoSource || j.Reason == NotAskable) ||
		j.State == Unavailable && j.Reason == SourceUnavailable && !errors.Is(e.Finding.Err, license.ErrUnanswerable)
}

// CoveredForGood reports whether the window received the material itself, or waived it.
func (e Evidence) CoveredForGood() bool {
	last, ok := e.received()
	return ok && last.How != HowPromised
}

// WithFiling is the judgement of a material for which a filed one stands in.
func (j Judgement) WithFiling() Judgement {
	j.State, j.Reason, j.Covered, j.Fallback, j.Next, j.Record, j.Stale = OnFile, "", "", Fallen{}, NextNothing, -1, false
	return j
}

// FilingFacts are the facts of a material as a filed one answers it: that no source has it is no reason against that.
func (f Facts) FilingFacts() Facts {
	f.Reasons = slices.DeleteFunc(slices.Clone(f.Reasons), func(r Reason) bool { return r == NoSource })
	return f
}

// filings checks the trust levels, the ways of verifying and the types of filed materials.
func (f *faults) filings() {
	b := f.book
	levels := f.Unique()
	for i, l := range b.Trust {
		at := fmt.Sprintf("$.trust[%d]", i)
		levels(at+".level", l.Level)
		f.Unless(opaque.MatchString(l.Level), at+".level", "the level must be 1 to 64 letters, digits, dots, underscores and hyphens")
		f.Unless(l.Name != "", at+".name", "the name is missing")
	}
	ways := f.Unique()
	for i, v := range b.Verifications {
		at := fmt.Sprintf("$.verifications[%d]", i)
		ways(at+".id", v.ID)
		f.Unless(opaque.MatchString(v.ID), at+".id", "the id must be 1 to 64 letters, digits, dots, underscores and hyphens")
		f.Unless(v.Name != "", at+".name", "the name is missing")
		_, ok := b.TrustLevel(v.Level)
		f.Unless(ok, at+".level", "there is no trust level %q", v.Level)
		f.Unless(slices.Contains([]string{"", "asserted", "session", "call"}, v.OperatorProof), at+".operator_proof", "the operator proof must be asserted, session or call")
	}
	types := f.Unique()
	for i, t := range b.Filings {
		at := fmt.Sprintf("$.filings[%d]", i)
		types(at+".id", t.ID)
		f.Unless(opaque.MatchString(t.ID), at+".id", "the id must be 1 to 64 letters, digits, dots, underscores and hyphens")
		_, taken := f.cat.Type(t.ID)
		f.Unless(!taken, at+".id", "%q is a license type of the catalogue", t.ID)
		f.Unless(t.Name != "", at+".name", "the name is missing")
		f.Unless(t.ValidDays >= 1 && t.ValidDays <= longestKeep, at+".valid_days", "the days must be 1 to %d", longestKeep)
		f.Unless(t.KeepDays >= t.ValidDays && t.KeepDays <= longestKeep, at+".keep_days", "the days must be valid_days to %d", longestKeep)
		f.Unless(len(b.Verifications) > 0, at+".verifications", "there is no way of verifying")
		known := f.Unique()
		for k, id := range t.Verifications {
			path := fmt.Sprintf("%s.verifications[%d]", at, k)
			known(path, id)
			_, ok := b.Verification(id)
			f.Unless(ok, path, "there is no way of verifying %q", id)
		}
	}
}

// A HandOver says that the file of a case (案卷) was handed over to whoever keeps the archive (归档移交, GB/T 42727-2023). Disposal never comes before
// it: the file of a filed material is erased at the end of its retention only once its case was handed over. The package itself stays with the
// caller; its digest says what was handed over.
type HandOver struct {
	Case   string
	Digest string    // base64url SM3 of the package (归档包) that was handed over
	By     string    // id of the system that did
	At     time.Time //
}

// HandOverMark is how the store marks the row of a hand-over among those of a case.
const HandOverMark = "handed-over"
