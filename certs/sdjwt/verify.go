package sdjwt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/check"
)

const (
	keySD    = "_sd"
	keyAlg   = "_sd_alg"
	keyArray = "..."

	// MaxSize bounds a presentation in bytes.
	MaxSize = 256 << 10
	// MaxDisclosures bounds the disclosures of a presentation.
	MaxDisclosures = 1024
	// maxDepth bounds the nesting of JSON.
	maxDepth = 16
)

// Why a presentation does not hold.
var (
	ErrForm       = errors.New("malformed sd-jwt")
	ErrType       = errors.New("sd-jwt has another typ")
	ErrSignature  = errors.New("sd-jwt signature does not hold")
	ErrHash       = errors.New("sd-jwt has another digest algorithm")
	ErrDisclosure = errors.New("sd-jwt disclosure is malformed or reserved")
	ErrDuplicate  = errors.New("duplicate sd-jwt digest, disclosure or claim")
	ErrUnused     = errors.New("sd-jwt disclosure is not among the signed digests")
	ErrKeyBinding = errors.New("sd-jwt has an unexpected key binding")
)

// Expect is what the verifier brings.
type Expect struct {
	Typ string
	// Check judges the signature: find the issuer's key by header or payload, and call [jws.Parts.Verify] with it. It is
	// called once, before anything of the payload is trusted.
	Check func(*jws.Parts) error
	Hash  Hash // zero means SM3
}

// Result of a verification.
type Result struct {
	Header jws.Header
	// Claims is the processed payload: what was always disclosed and what was disclosed now, by name.
	Claims map[string]jsontext.Value
	// Disclosed are the disclosures presented, in order.
	Disclosed []Disclosure
	// Steps are in order; after a failure the rest are not checkable.
	Steps []check.Step
}

// Steps of a verification.
const (
	StepForm        = "form"
	StepType        = "type"
	StepSignature   = "signature"
	StepDisclosures = "disclosures"
)

// Verify checks a presentation: its form, typ, signature, and that every disclosure is exactly one of the signed digests.
// Dates and status are the caller's. On failure the Result still has the steps.
func Verify(presentation string, e Expect) (*Result, error) {
	if e.Hash.Sum == nil {
		e.Hash = SM3()
	}
	r := new(Result)
	var parts *jws.Parts
	var texts []string
	steps := []struct {
		name string
		do   func() error
	}{
		{StepForm, func() (err error) { parts, texts, err = split(presentation); return err }},
		{StepType, func() error {
			r.Header = parts.Header
			if parts.Header.Typ != e.Typ {
				return fmt.Errorf("%w than %q", ErrType, e.Typ)
			}
			return nil
		}},
		{StepSignature, func() error {
			if err := e.Check(parts); err != nil {
				return fmt.Errorf("%w: %w", ErrSignature, err)
			}
			return nil
		}},
		{StepDisclosures, func() error { return r.open(parts.Payload, texts, e.Hash) }},
	}
	var failed error
	for _, s := range steps {
		step := check.CannotCheck(s.name, "a step before it failed")
		if failed == nil {
			step = check.Pass(s.name, "")
			if failed = s.do(); failed != nil {
				step = check.Fail(s.name, failed.Error())
			}
		}
		r.Steps = append(r.Steps, step)
	}
	if failed != nil {
		r.Claims, r.Disclosed = nil, nil
		return r, fmt.Errorf("verify sd-jwt: %w", failed)
	}
	return r, nil
}

// split takes jwt~d1~…~ apart.
func split(presentation string) (*jws.Parts, []string, error) {
	if len(presentation) > MaxSize {
		return nil, nil, fmt.Errorf("%w: more than %d bytes", ErrForm, MaxSize)
	}
	segments := strings.Split(presentation, "~")
	last := len(segments) - 1
	if last < 1 || last-1 > MaxDisclosures {
		return nil, nil, fmt.Errorf("%w: no tilde, or too many", ErrForm)
	}
	if segments[last] != "" {
		return nil, nil, ErrKeyBinding
	}
	parts, err := jws.Split(segments[0], MaxSize)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return parts, segments[1:last], nil
}

// ParseDisclosure reads the text of a disclosure: [salt, name, value], or [salt, value] for an array element.
func ParseDisclosure(text string) (Disclosure, error) {
	raw, err := sm.ParseB64(text)
	if err != nil {
		return Disclosure{}, fmt.Errorf("%w: not base64url", ErrDisclosure)
	}
	var items []jsontext.Value
	if err := json.Unmarshal(raw, &items); err != nil || len(items) < 2 || len(items) > 3 {
		return Disclosure{}, fmt.Errorf("%w: not an array of two or three", ErrDisclosure)
	}
	d := Disclosure{Text: text, Value: items[len(items)-1]}
	if err := unmarshalString(items[0], &d.Salt); err != nil {
		return Disclosure{}, err
	}
	if len(items) == 3 {
		if err := unmarshalString(items[1], &d.Name); err != nil {
			return Disclosure{}, err
		}
		if d.Name == "" || d.Name == keySD || d.Name == keyArray {
			return Disclosure{}, fmt.Errorf("%w: reserved name", ErrDisclosure)
		}
	}
	return d, nil
}

func unmarshalString(v jsontext.Value, s *string) error {
	if v.Kind() != '"' || json.Unmarshal(v, s) != nil {
		return fmt.Errorf("%w: salt or name is not a string", ErrDisclosure)
	}
	return nil
}
