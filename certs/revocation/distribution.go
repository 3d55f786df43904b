package revocation

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/pki"
)

// distribution says of which certificates a list speaks: the issuing distribution point (RFC 5280 section 5.2.5). The zero
// value is of all. Large authorities cut their lists by it, a few thousand certificates to a list.
type distribution struct {
	points                     []string // addresses; when there are some, a certificate must name one of them
	onlyUsers, onlyAuthorities bool
}

// read takes a distribution point. One that leaves reasons out, or speaks for other authorities, is refused.
func (d *distribution) read(value cryptobyte.String) error {
	var body, name cryptobyte.String
	var named bool
	bad := malformed("its distribution point")
	if !value.ReadASN1(&body, tag.SEQUENCE) || !value.Empty() || !body.ReadOptionalASN1(&name, &named, tagContext0Explicit) {
		return bad
	}
	if named {
		if err := d.readName(name); err != nil {
			return err
		}
	}
	for !body.Empty() {
		var flag cryptobyte.String
		var t tag.Tag
		if !body.ReadAnyASN1(&flag, &t) {
			return bad
		}
		set := len(flag) == 1 && flag[0] == 0xff
		switch {
		case t == tag.Tag(1).ContextSpecific() && set:
			d.onlyUsers = true
		case t == tag.Tag(2).ContextSpecific() && set:
			d.onlyAuthorities = true
		default: // some reasons only, indirect, attribute certificates, or no DER
			return malformed("its distribution point is of a kind that is not known")
		}
	}
	return nil
}

// readName reads DistributionPointName: a full name of one or more addresses.
func (d *distribution) readName(name cryptobyte.String) error {
	var names cryptobyte.String
	if !name.ReadASN1(&names, tagContext0Explicit) || !name.Empty() {
		return malformed("its distribution point has no full name")
	}
	for !names.Empty() {
		var n cryptobyte.String
		var t tag.Tag
		if !names.ReadAnyASN1(&n, &t) || len(d.points) == maxExtensions {
			return malformed("its distribution point")
		}
		if t == tag.Tag(6).ContextSpecific() {
			d.points = append(d.points, string(n))
		}
	}
	if len(d.points) == 0 {
		return malformed("its distribution point has no address")
	}
	return nil
}

// covers tells whether the list speaks of c.
func (d distribution) covers(c *pki.Certificate) error {
	if d.onlyUsers && c.IsCA || d.onlyAuthorities && !c.IsCA {
		return fmt.Errorf("%w: the list is for another kind of certificate", ErrScope)
	}
	if len(d.points) > 0 && !slices.ContainsFunc(c.CRLDistributionPoints, func(p string) bool { return slices.Contains(d.points, p) }) {
		return fmt.Errorf("%w: the list is another part of the authority's lists", ErrScope)
	}
	return nil
}
