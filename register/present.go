package register

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"oncegate/license"
)

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
	texts, err := s.issuer.Disclose(claims, s.salt)
	if err != nil {
		return "", fmt.Errorf("present license: %w", err)
	}
	return strings.Join(slices.Concat([]string{s.Version.JWT}, texts, []string{""}), "~"), nil
}
