package audit

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"oncegate/canonical"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Change is one state change that commits with a record. Every value of Draft.Changes is one.
type Change interface {
	// Bound returns the change's bound form: a JSON object whose member "change" names the type, and whose other members are every stored
	// column that the change sets. nil means that the change binds nothing: a claim, a precondition, or a kept copy.
	//
	// Numbers are integers, times are microseconds since 1970 UTC (0: not stated), bytes are base64url. A personal value stands in the form
	// as commit of it, with the r of the change, which is kept sealed beside the value: HMAC-SM3(r, JCS(v)) in base64url. commit refuses an
	// r that is not 32 bytes, or all zero. digest is the SM3 of data in base64url.
	Bound(commit func(r []byte, v any) (string, error), digest func(data []byte) string) (any, error)
}

const (
	maxBound        = 16 << 20 // bytes of a bound list
	maxBoundChanges = 1 << 16
)

var (
	// ErrBound says that bytes are not the bound list of a record, or not the bound form of a change.
	ErrBound = errors.New("not what a record binds of its changes")

	errUnbound    = errors.New("a change declares no bound form")
	errRandomness = errors.New("the randomness of a commitment is not 32 bytes, or all zero")
)

// bound is the preimage of Record.Changes: the JCS list of the bound forms, after a salt. nil if nothing is bound.
func (c Config) bound(changes []any) ([]byte, error) {
	commit := func(r []byte, v any) (string, error) { return CommitmentTo(c.NewSM3, r, v) }
	var list []byte
	for _, one := range changes {
		change, ok := one.(Change)
		if !ok {
			return nil, fmt.Errorf("%w: %T", errUnbound, one)
		}
		form, err := change.Bound(commit, c.digest)
		if err != nil {
			return nil, fmt.Errorf("bind %T: %w", one, err)
		}
		if form == nil {
			continue
		}
		text, err := canonical.Marshal(form)
		if err != nil {
			return nil, fmt.Errorf("bind %T: %w", one, err)
		}
		if list == nil {
			if list, err = c.salt(); err != nil {
				return nil, err
			}
		}
		list = append(append(list, ','), text...)
	}
	switch {
	case list == nil:
		return nil, nil
	case len(list) >= maxBound || len(changes) > maxBoundChanges:
		return nil, ErrTooLarge
	}
	return append(list, ']'), nil
}

// saltName is the name of the first element of a bound list: 32 random bytes. Without them a mirror of the log could confirm, by trying
// out identifiers and times, which license a record moved, and so whom it is about.
const saltName = "audit.salt"

type boundSalt struct {
	Change string `json:"change"`
	R      string `json:"r"` // base64url of 32 random bytes
}

// salt begins a bound list.
func (c Config) salt() ([]byte, error) {
	var r [digestSize]byte
	if _, err := io.ReadFull(c.Rand, r[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	text, err := canonical.Marshal(boundSalt{saltName, canonical.Base64(r[:])})
	return append([]byte{'['}, text...), err
}

// BoundDigest returns what stands in Record.Changes for a bound list (Entry.Bound): its SM3 in base64url; "" for none.
func BoundDigest(newSM3 func() hash.Hash, bound []byte) string {
	if len(bound) == 0 {
		return ""
	}
	return canonical.Digest(newSM3, bound)
}

// ParseBoundList returns the bound forms in a bound list, in the order of the record's changes and without the salt; each is for its
// room's ParseBound. At most 16 MiB and 65,536 changes, in canonical form. The error is ErrBound. It does not look at the record: compare
// BoundDigest.
func ParseBoundList(bound []byte) ([]jsontext.Value, error) {
	again, err := reformat(bound)
	if err != nil {
		return nil, fmt.Errorf("%w: not JSON of integers, or longer than %d bytes", ErrBound, maxBound)
	}
	if !bytes.Equal(again, bound) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrBound)
	}
	var list []jsontext.Value
	if err := json.Unmarshal(bound, &list); err != nil {
		return nil, fmt.Errorf("%w: not a list", ErrBound)
	}
	if len(list) > 0 && boundForms.Name(list[0]) == saltName {
		var salt boundSalt
		if err := canonical.Unmarshal(list[0], &salt); err != nil || !canonical.IsDigest(salt.R) {
			return nil, fmt.Errorf("%w: the salt is not 32 bytes", ErrBound)
		}
		list = list[1:]
	}
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("%w: an empty list", ErrBound)
	case len(list) > maxBoundChanges:
		return nil, fmt.Errorf("%w: more than %d changes", ErrBound, maxBoundChanges)
	case slices.ContainsFunc(list, func(v jsontext.Value) bool { name := boundForms.Name(v); return name == "" || name == saltName }):
		return nil, fmt.Errorf("%w: an element names no change", ErrBound)
	}
	return list, nil
}

// The bound forms of audit's own changes, as ParseBound returns them.
type (
	// BoundPolicySet is that of PolicySet: "audit.policy_set". The digest names the files (canonical.FilesDigest).
	BoundPolicySet struct {
		Change string `json:"change"`
		Digest string `json:"digest"`
	}
	// BoundAdopt is that of Adopt: "audit.adopt".
	BoundAdopt struct {
		Change string         `json:"change"`
		Rows   map[string]int `json:"rows"`
	}
)

const (
	changePolicySet = "audit.policy_set"
	changeAdopt     = "audit.adopt"
)

// Bound binds nothing: who claimed which call follows from the token digests.
func (Claim) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return nil, nil
}

// Bound returns BoundPolicySet.
func (p PolicySet) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundPolicySet{changePolicySet, p.Digest}, nil
}

// Bound returns BoundAdopt.
func (a Adopt) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundAdopt{changeAdopt, a.Rows}, nil
}

// ParseBound reads the bound form of one of audit's own changes strictly: BoundPolicySet or BoundAdopt. The error is ErrBound.
func ParseBound(raw []byte) (any, error) {
	form, err := boundForms.Unmarshal(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBound, err)
	}
	return form, nil
}

var boundForms = canonical.Union{
	changePolicySet: canonical.Variant(func(b BoundPolicySet) bool { return canonical.IsDigest(b.Digest) }),
	changeAdopt: canonical.Variant(func(b BoundAdopt) bool {
		for _, rows := range b.Rows {
			if rows < 0 {
				return false
			}
		}
		return true
	}),
}

// CommitmentTo returns HMAC-SM3(r, JCS(v)) in base64url: what stands for a personal value in a bound form. r is 32 random bytes that are
// kept sealed with the value. The error repeats nothing of v.
func CommitmentTo(newSM3 func() hash.Hash, r []byte, v any) (string, error) {
	if len(r) != saltSize || !slices.ContainsFunc(r, func(b byte) bool { return b != 0 }) {
		return "", errRandomness
	}
	text, err := canonical.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write committed value: %w", err)
	}
	return commit(newSM3, r, text), nil
}
