package license

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Claim is one thing a license says that can be disclosed on its own: what a selective disclosure carries and what a
// grant selects by Field. Claims of one holder are chosen by Holder.
type Claim struct {
	Field  string // dictionary name, "holder_name"
	Holder int    // index of the holder, or -1 if the claim is about the license as a whole
	Path   string // unique in the license: "legal_representative", "holder_name.0"
	Value  string // never empty
}

// Claims returns what a license says, in a fixed order: common metadata, then holder after holder, then the type's own
// fields. What the source does not state makes no claim, except that an unlimited validity says 长期. The status is no
// claim, because it is live; flags are none, because they are ours.
//
// The license must be of type t and every field known to it; a field per holder needs exactly one value for each. The
// error wraps a Reason.
func Claims(t Type, l License) ([]Claim, error) {
	if err := claimable(t, l); err != nil {
		return nil, err
	}
	claims := commonClaims(t, l)
	for _, field := range t.Fields {
		if !field.PerHolder {
			claims = appendClaim(claims, field.Name, -1, l.Fields[field.Name])
			continue
		}
		values, _ := perHolder(field, l)
		for i, value := range values {
			claims = appendClaim(claims, field.Name, i, value)
		}
	}
	return claims, nil
}

// claimable says why a license of type t cannot be told in claims.
func claimable(t Type, l License) error {
	if l.Type != t.ID {
		return &FieldError{"type", UnknownType}
	}
	if len(l.Holders) == 0 {
		return &FieldError{"holders", WrongHolders}
	}
	var unknown []string
	for name := range l.Fields {
		if !slices.ContainsFunc(t.Fields, func(f Field) bool { return f.Name == name }) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return &FieldError{fieldLabel(slices.Min(unknown)), UnknownField}
	}
	for _, field := range t.Fields {
		if !field.PerHolder {
			continue
		}
		if _, err := perHolder(field, l); err != nil {
			return err
		}
	}
	return nil
}

// fieldLabel keeps a name that no dictionary knows out of errors unless it has the form of one.
func fieldLabel(name string) string {
	if fieldName.MatchString(name) {
		return name
	}
	return "fields"
}

func commonClaims(t Type, l License) []Claim {
	end := string(l.ValidTo)
	if end == "" {
		end = Unlimited
	}
	claims := make([]Claim, 0, len(metadata)+3*len(l.Holders)+len(t.Fields))
	for _, common := range [...]struct{ name, value string }{
		{FieldName, t.Name},
		{FieldNumber, l.Number},
		{FieldIssuerName, l.Issuer.Name},
		{FieldIssuerCode, l.Issuer.Code},
		{FieldIssuerLevel, l.Issuer.Level},
		{FieldIssued, string(l.Issued)},
		{FieldValidFrom, string(l.ValidFrom)},
		{FieldValidTo, end},
	} {
		claims = appendClaim(claims, common.name, -1, common.value)
	}
	for i, holder := range l.Holders {
		claims = appendClaim(claims, FieldHolderName, i, holder.Name)
		claims = appendClaim(claims, FieldHolderCode, i, holder.Code)
		claims = appendClaim(claims, FieldHolderCodeType, i, holder.HolderID.Type)
	}
	return claims
}

func appendClaim(claims []Claim, field string, holder int, value string) []Claim {
	if value == "" {
		return claims
	}
	return append(claims, Claim{Field: field, Holder: holder, Path: claimPath(field, holder), Value: value})
}

func claimPath(field string, holder int) string {
	if holder < 0 {
		return field
	}
	return field + "." + strconv.Itoa(holder)
}

// perHolder splits a field's values; nothing at all is one empty value per holder.
func perHolder(field Field, l License) ([]string, error) {
	joined := l.Fields[field.Name]
	if joined == "" {
		return make([]string, len(l.Holders)), nil
	}
	values := strings.Split(joined, "\n")
	if len(values) != len(l.Holders) {
		return nil, &FieldError{field.Name, WrongHolders}
	}
	return values, nil
}

// Content returns the canonical bytes (RFC 8785) of what a license says, for digesting: two records are the same content
// exactly if these bytes are equal. Paths are made of names of fields, in ASCII: their order by bytes is that of RFC 8785.
func Content(typeID string, claims []Claim) ([]byte, error) {
	sorted := slices.Clone(claims)
	slices.SortFunc(sorted, func(a, b Claim) int { return strings.Compare(a.Path, b.Path) })
	content := append(make([]byte, 0, 1024), `{"claims":{`...)
	var faulty error
	text := func(s string) {
		var err error
		content, err = jsontext.AppendQuote(content, s)
		faulty = cmp.Or(faulty, err)
	}
	for i, claim := range sorted {
		if i > 0 {
			if content = append(content, ','); claim.Path == sorted[i-1].Path {
				return nil, errors.New("write license content: a claim stands twice")
			}
		}
		text(claim.Path)
		content = append(content, ':')
		text(claim.Value)
	}
	content = append(content, `},"type":`...)
	text(typeID)
	if content = append(content, '}'); faulty != nil {
		return nil, fmt.Errorf("write license content: %w", WrongText)
	}
	return content, nil
}
