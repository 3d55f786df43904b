package register

import (
	"fmt"
	"time"

	"oncegate/license"
)

// stated is a license as its source stated it, read for signing.
type stated struct {
	license license.License // in normal form
	typ     license.Type
	claims  []license.Claim
	subject [32]byte
	content [32]byte
	asOf    time.Time
}

// read checks a record as strictly as what is signed must be, and digests it.
func (r *Register) read(l license.License, asOf time.Time) (stated, error) {
	l, err := license.Validate(r.config.Catalogue, l, license.Strict)
	if err != nil {
		return stated{}, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	s := stated{license: l, asOf: moment(asOf)}
	s.typ, _ = r.config.Catalogue.Type(l.Type) // Validate has found it
	if s.claims, err = license.Claims(s.typ, l); err != nil {
		return stated{}, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	content, err := license.Content(l.Type, s.claims)
	if err != nil {
		return stated{}, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	s.content = r.keys.content.Sum(content)
	s.subject, err = r.subject(l)
	return s, err
}

// subject says which license a record is of, over all its versions.
func (r *Register) subject(l license.License) ([32]byte, error) {
	subject, err := sumOf(r.keys.subject, l.Type, l.Issuer.Code, l.Number)
	if err != nil {
		return subject, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	return subject, nil
}

// moment is a time as it is kept: UTC, milliseconds.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
