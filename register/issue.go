package register

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/canonical"
	"oncegate/license"
)

// sign makes the version that comes after latest; the zero latest means that there is none.
func (r *Register) sign(ctx context.Context, latest Version, s stated) (Version, error) {
	lists, err := r.config.Storage.Lists(ctx)
	if err != nil {
		return Version{}, err
	}
	id, err := r.identify(latest, s, lists)
	if err != nil {
		return Version{}, err
	}
	v := Version{
		Subject: s.subject, Type: s.license.Type, Issuer: s.license.Issuer.Code, Serial: id.Serial(), Number: id.Version(),
		Identifier: id.String(), Content: s.content, Signed: truncateMillis(r.config.Now()),
	}
	v.stand(latest, s)
	if v.List, v.Slot, err = r.place(ctx, lists); err != nil {
		return Version{}, err
	}
	always, err := r.always(v, s.license)
	if err != nil {
		return Version{}, err
	}
	v.JWT, v.KeyID, err = r.config.Issuer.Issue(ctx, v.Issuer, Issuance{
		Always: always, Claims: s.claims, Digests: digests(s.typ, len(s.license.Holders)), Salt: r.salts(v),
	})
	return v, err
}

// stand says how a new version stands: as its source states it, with the orders on the one before it that are of the license.
func (v *Version) stand(before Version, s stated) {
	v.Stated, v.StatusAt, v.Ordered, v.OrderedAt = s.license.Status, s.asOf, before.Inherited(), time.Time{}
	if v.Ordered != "" {
		v.OrderedAt = before.OrderedAt
	}
	v.Status = EffectiveStatus(v.Stated, v.Ordered)
}

// identify gives a license its identifier (GB/T 36904): the next version of the one it has, or a new one with a random
// serial, which says nothing of the holder or of how many licenses there are. Where the log was recovered since the version
// before, the serial is new too: the next version of the old one may have been signed already, and lost.
func (r *Register) identify(latest Version, s stated, lists []List) (license.Identifier, error) {
	if latest.Number > 0 && !closed(lists, latest.List) {
		last, err := license.ParseIdentifier(latest.Identifier)
		if err != nil {
			return last, err
		}
		return last.Next()
	}
	serial, err := r.serial()
	if err != nil {
		return license.Identifier{}, err
	}
	id, err := license.NewIdentifier(s.typ.Code, s.license.Issuer.Code, serial, latest.Number+1)
	if err != nil {
		return id, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	return id, nil
}

// openClaims stand openly in every license (design 5.5).
type openClaims struct {
	Issuer     string `json:"iss"` // USCC
	Identifier string `json:"id"`  // GB/T 36904
	Version    int    `json:"ver"`
	Type       string `json:"type"`         // catalogue id
	IssuedAt   int64  `json:"iat"`          // when it was signed, for the chain at that moment
	NotBefore  int64  `json:"nbf,omitzero"` // first second of the validity; missing if the license states no beginning
	Expires    int64  `json:"exp,omitzero"` // first second after the validity; missing if unlimited (长期)
	Status     struct {
		List struct {
			Index int    `json:"idx"`
			URI   string `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`
}

// Validity returns the first moment of the validity and the first moment after it, as every presentation of the version discloses them; zero
// for one that is not stated.
func (v Version) Validity() (from, until time.Time, err error) {
	_, rest, _ := strings.Cut(v.JWT, ".")
	payload, _, ok := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	var c openClaims
	if err == nil && ok {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || !ok || c.Identifier != v.Identifier {
		return from, until, errors.New("read validity of a version: it has no signed license of its own")
	}
	at := func(seconds int64) (t time.Time) {
		if seconds != 0 {
			t = time.Unix(seconds, 0).UTC()
		}
		return t
	}
	return at(c.NotBefore), at(c.Expires), nil
}

func (r *Register) always(v Version, l license.License) ([]byte, error) {
	c := openClaims{Issuer: v.Issuer, Identifier: v.Identifier, Version: v.Number, Type: v.Type, IssuedAt: v.Signed.Unix()}
	c.Status.List.Index, c.Status.List.URI = v.Slot, r.ListURI(v.List)
	from := l.ValidFrom
	if from == "" {
		from = l.Issued
	}
	if from != "" {
		start, err := from.Start()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFaulty, err)
		}
		c.NotBefore = start.Unix()
	}
	if l.ValidTo != "" {
		end, err := l.ValidTo.End() // the last day of the validity still counts
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFaulty, err)
		}
		c.Expires = end.Unix()
	}
	return canonical.Marshal(c)
}

// digests is how many digests every license of a type has, so that their number tells neither which optional fields it has
// nor, up to the next power of two, how many holders.
func digests(t license.Type, holders int) int {
	holders = 1 << bits.Len(uint(max(holders, 2)-1))
	n := 0
	count := func(f license.Field) {
		if f.PerHolder {
			n += holders
		} else {
			n++
		}
	}
	for _, m := range license.Metadata() {
		if !m.Always && !m.Live {
			count(m.Field)
		}
	}
	for _, f := range t.Fields {
		count(f)
	}
	return n
}

// salts are HMAC-SM3(key, identifier‖version‖path), the version in three digits. Identifier and version have fixed
// lengths, so the parts cannot run into each other.
func (r *Register) salts(v Version) Salts {
	prefix := fmt.Appendf(nil, "%s%03d", v.Identifier, v.Number)
	return func(path string) []byte {
		salt := r.keys.salt.Sum(prefix, []byte(path))
		return salt[:]
	}
}

// ErrClaim says that a license does not say what was to be disclosed.
var ErrClaim = errors.New("the license has no such claim")

// Present returns the SD-JWT with the disclosures of the claims at these paths and no other, in the order of the claims
// (RFC 9901 section 4): jwt~disclosure~…~. A path that is no claim's is ErrClaim.
func (s Signed) Present(paths []string) (string, error) {
	for _, path := range paths {
		if !slices.ContainsFunc(s.Claims, func(c license.Claim) bool { return c.Path == path }) {
			return "", fmt.Errorf("present license: %w", ErrClaim)
		}
	}
	return s.present(func(c license.Claim) bool { return slices.Contains(paths, c.Path) })
}

// Select returns the SD-JWT with what is granted and no more: claims of granted fields, and of these only such as are about
// the license as a whole or about one of the allowed holders, by their place in the record.
func (s Signed) Select(fields []string, holders []int) (string, error) {
	return s.present(func(c license.Claim) bool {
		return slices.Contains(fields, c.Field) && (c.Holder < 0 || slices.Contains(holders, c.Holder))
	})
}

func (s Signed) present(released func(license.Claim) bool) (string, error) {
	claims := make([]license.Claim, 0, len(s.Claims))
	for _, claim := range s.Claims {
		if released(claim) {
			claims = append(claims, claim)
		}
	}
	texts, err := s.register.disclose(s.Version, claims)
	if err != nil {
		return "", fmt.Errorf("present license: %w", err)
	}
	return strings.Join(slices.Concat([]string{s.Version.JWT}, texts, []string{""}), "~"), nil
}

// disclose returns the disclosures of claims, which are of the content that the version was signed of.
func (r *Register) disclose(v Version, claims []license.Claim) ([]string, error) {
	of := signedContent{v.Identifier, v.Content}
	if texts, ok := r.cache.find(of, claims); ok {
		return texts, nil
	}
	texts, err := r.config.Issuer.Disclose(claims, r.salts(v))
	if err == nil {
		r.cache.keep(of, claims, texts)
	}
	return texts, err
}
