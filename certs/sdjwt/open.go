package sdjwt

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// opening replaces digests by what the disclosures say, RFC 9901 section 7.1 steps 2 to 5.
type opening struct {
	hash Hash
	// byDigest holds the disclosures not used yet.
	byDigest map[string]Disclosure
	// seen holds every digest met in the payload or in a disclosure. A digest that stands twice is refused: a disclosure
	// could then be read at two places.
	seen map[string]bool
}

// open fills in claims and disclosures of a result.
func (r *Result) open(payload []byte, texts []string, h Hash) error {
	o := opening{h, make(map[string]Disclosure, len(texts)), make(map[string]bool)}
	for _, text := range texts {
		d, err := ParseDisclosure(text)
		if err != nil {
			return err
		}
		digest := h.Digest(text)
		if _, ok := o.byDigest[digest]; ok {
			return fmt.Errorf("%w: a disclosure", ErrDuplicate)
		}
		o.byDigest[digest] = d
		r.Disclosed = append(r.Disclosed, d)
	}
	members, err := object(payload)
	if err != nil {
		return err
	}
	if err := checkAlg(members, h); err != nil {
		return err
	}
	delete(members, keyAlg)
	if r.Claims, err = o.object(members, 0); err != nil {
		return err
	}
	if len(o.byDigest) > 0 {
		return fmt.Errorf("%w: %d of %d", ErrUnused, len(o.byDigest), len(texts))
	}
	return nil
}

func checkAlg(members map[string]jsontext.Value, h Hash) error {
	alg := "sha-256" // RFC 9901 section 4.1.1: the default
	if v, ok := members[keyAlg]; ok {
		if json.Unmarshal(v, &alg) != nil {
			return fmt.Errorf("%w: %s is not a string", ErrForm, keyAlg)
		}
	}
	if alg != h.Name {
		return fmt.Errorf("%w than %s", ErrHash, h.Name)
	}
	return nil
}

func object(v jsontext.Value) (map[string]jsontext.Value, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(v, &members); err != nil || members == nil {
		return nil, fmt.Errorf("%w: not an object with unique names", ErrForm)
	}
	return members, nil
}

// value processes any JSON value.
func (o *opening) value(v jsontext.Value, depth int) (jsontext.Value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrForm, maxDepth)
	}
	switch v.Kind() {
	case '{':
		members, err := object(v)
		if err != nil {
			return nil, err
		}
		if members, err = o.object(members, depth); err != nil {
			return nil, err
		}
		return json.Marshal(members, json.Deterministic(true))
	case '[':
		return o.array(v, depth)
	}
	return v, nil
}

// object processes the members of an object and adds what its _sd discloses.
func (o *opening) object(members map[string]jsontext.Value, depth int) (map[string]jsontext.Value, error) {
	if _, ok := members[keyArray]; ok {
		return nil, fmt.Errorf("%w: %q outside of an array", ErrForm, keyArray)
	}
	var digests []string
	if v, ok := members[keySD]; ok {
		if v.Kind() != '[' || json.Unmarshal(v, &digests) != nil {
			return nil, fmt.Errorf("%w: %s is not an array of strings", ErrForm, keySD)
		}
		delete(members, keySD)
	}
	out := make(map[string]jsontext.Value, len(members)+len(digests))
	for name, v := range members {
		var err error
		if out[name], err = o.value(v, depth+1); err != nil {
			return nil, err
		}
	}
	for _, digest := range digests {
		d, ok, err := o.take(digest)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // a decoy, or a field that is not released
		}
		if d.Name == "" {
			return nil, fmt.Errorf("%w: array element used as a field", ErrDisclosure)
		}
		if _, ok := out[d.Name]; ok {
			return nil, fmt.Errorf("%w: a claim", ErrDuplicate)
		}
		if out[d.Name], err = o.value(d.Value, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// array processes elements; {"...": digest} becomes the disclosed element or vanishes.
func (o *opening) array(v jsontext.Value, depth int) (jsontext.Value, error) {
	var items []jsontext.Value
	if err := json.Unmarshal(v, &items); err != nil {
		return nil, fmt.Errorf("%w: not an array", ErrForm)
	}
	out := make([]jsontext.Value, 0, len(items))
	for _, item := range items {
		digest, hidden, err := hiddenElement(item)
		if err != nil {
			return nil, err
		}
		if hidden {
			d, ok, err := o.take(digest)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			if d.Name != "" {
				return nil, fmt.Errorf("%w: field used as an array element", ErrDisclosure)
			}
			item = d.Value
		}
		item, err = o.value(item, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return json.Marshal(out)
}

func hiddenElement(item jsontext.Value) (digest string, hidden bool, err error) {
	if item.Kind() != '{' {
		return "", false, nil
	}
	members, err := object(item)
	if err != nil {
		return "", false, err
	}
	v, ok := members[keyArray]
	if !ok {
		return "", false, nil
	}
	if len(members) != 1 || v.Kind() != '"' || json.Unmarshal(v, &digest) != nil {
		return "", false, fmt.Errorf("%w: %q has company or is not a string", ErrForm, keyArray)
	}
	return digest, true, nil
}

// take returns the disclosure of a digest and marks it used.
func (o *opening) take(digest string) (Disclosure, bool, error) {
	if o.seen[digest] {
		return Disclosure{}, false, fmt.Errorf("%w: a digest", ErrDuplicate)
	}
	o.seen[digest] = true
	d, ok := o.byDigest[digest]
	delete(o.byDigest, digest)
	return d, ok, nil
}
