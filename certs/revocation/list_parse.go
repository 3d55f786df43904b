package revocation

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"oncegate/certs/der"
	"oncegate/certs/pki"
)

var (
	oidSM2SM3         = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}
	oidCRLNumber      = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReason         = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}
	oidDistribution   = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// ParseList reads a list, DER or PEM ("X509 CRL"), strictly: version 2, SM2 with SM3, every entry. What we would have to
// understand and do not (delta lists, indirect lists, unknown critical extensions) is refused. The list keeps data.
func ParseList(data []byte) (*List, error) {
	if len(data) > MaxList*3/2 {
		return nil, malformed("the list is larger than %d bytes", MaxList)
	}
	raw, err := unwrapPEM(data, "X509 CRL")
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxList {
		return nil, malformed("the list is larger than %d bytes", MaxList)
	}
	l := &List{Raw: raw}
	in := der.Read(raw, ErrMalformed)
	list := in.Sequence("it is no list")
	in.End("it is no list")
	l.tbs = list.Element(der.Sequence, "it is no list")
	outer := list.Element(der.Sequence, "it is no list")
	l.signature = list.Bits("it is no list")
	list.End("it is no list")
	tbs := in.In(l.tbs)
	l.readTBS(&tbs, outer)
	if err := in.Err(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *List) readTBS(tbs *der.Cursor, outer []byte) {
	const noList = "it is no list of version 2"
	body := tbs.Sequence(noList)
	if body.Int(noList) != 1 {
		body.Fail(noList)
	}
	inner := body.Element(der.Sequence, noList)
	l.issuer = body.Element(der.Sequence, noList)
	if string(inner) != string(outer) || !isSM2SM3(inner) {
		body.Fail("it is not signed with SM2 and SM3")
	}
	l.This = body.Time("its time cannot be read")
	if body.Is(der.UTCTime) || body.Is(der.GeneralizedTime) {
		const next = "its next time cannot be read, or is before its time"
		if l.Next = body.Time(next); l.Next.Before(l.This) {
			body.Fail(next)
		}
	}
	const end = "it has unexpected data at its end"
	entries, _ := body.Optional(der.Sequence, end)
	extensions, _ := body.Optional(der.Explicit(0), end)
	body.End(end)
	l.readEntries(&entries)
	if !extensions.Empty() {
		eachExtension(&extensions, l.extension)
	}
}

// readEntries reads every entry once and notes where it starts.
func (l *List) readEntries(in *der.Cursor) {
	l.entries = in.Rest()
	for !in.Empty() {
		start := len(l.entries) - len(in.Rest())
		raw := readEntry(in)
		if in.Err() == nil && !raw.extensions.Empty() {
			raw.entry()
		}
		l.starts = append(l.starts, uint32(start)) // < MaxList
	}
}

// rawEntry is an entry whose parts were found and not read.
type rawEntry struct {
	serial     []byte
	time       time.Time
	extensions der.Cursor
}

const errEntry = "an entry"

func readEntry(in *der.Cursor) (e rawEntry) {
	entry := in.Sequence(errEntry)
	if e.serial = entry.Content(der.Integer, errEntry); !minimal(e.serial) {
		entry.Fail(errEntry)
	}
	e.time = entry.Time(errEntry)
	e.extensions = entry
	if !entry.Empty() {
		entry.Content(der.Sequence, errEntry)
		entry.End(errEntry)
	}
	return e
}

// minimal tells whether bytes are the only encoding of an INTEGER, of a size that a serial number can have.
func minimal(b []byte) bool {
	if len(b) == 0 || len(b) > 64 {
		return false
	}
	return len(b) == 1 || !(b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80)
}

func (raw *rawEntry) entry() Entry {
	e := Entry{Revoked: pki.Revoked{Serial: new(big.Int).SetBytes(raw.serial), Time: raw.time}}
	if raw.serial[0]&0x80 != 0 {
		e.Serial.Sub(e.Serial, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw.serial))))
	}
	if raw.extensions.Empty() {
		return e
	}
	eachExtension(&raw.extensions, func(id asn1.ObjectIdentifier, critical bool, value *der.Cursor) {
		switch {
		case id.Equal(oidReason):
			const member = "the reason of a revocation"
			reason := value.Enum(member)
			if value.End(member); reason < 0 || reason > 10 || reason == 7 || reason == 8 {
				value.Fail(member)
			}
			e.Reason = pki.Reason(reason)
		case id.Equal(oidInvalidityDate):
			e.Invalid = value.GeneralizedTime("the date of an invalidity")
			value.End("the date of an invalidity")
		case critical: // such as the other issuer of an indirect list
			value.Fail(errCritical)
		}
	})
	return e
}

const errCritical = "unknown critical extension"

// extension reads one of the list's extensions.
func (l *List) extension(id asn1.ObjectIdentifier, critical bool, value *der.Cursor) {
	switch {
	case id.Equal(oidCRLNumber):
		l.Number = value.BigInt("its number")
		if value.End("its number"); l.Number.Sign() < 0 || l.Number.BitLen() > 160 {
			value.Fail("its number")
		}
	case id.Equal(oidAuthorityKeyID):
		in := value.Sequence("its key identifier")
		if in.Is(der.Context(0)) {
			l.authority = in.Content(der.Context(0), "its key identifier")
		}
	case id.Equal(oidDistribution):
		l.distribution.read(value)
	case critical: // deltaCRLIndicator among them
		value.Fail(errCritical)
	}
}

// eachExtension calls yield for each Extension of a SEQUENCE OF; one may not stand there twice.
func eachExtension(in *der.Cursor, yield func(id asn1.ObjectIdentifier, critical bool, value *der.Cursor)) {
	extensions := in.Sequence("extensions")
	in.End("extensions")
	var seen []string
	for !extensions.Empty() {
		e := extensions.Sequence("an extension")
		id := e.OID("an extension")
		critical, _ := e.Bool("an extension")
		value := e.In(e.Octets("an extension"))
		e.End("an extension")
		if e.Err() != nil {
			return
		}
		if slices.Contains(seen, id.String()) || len(seen) == maxExtensions {
			e.Fail("duplicate extension, or too many extensions")
			return
		}
		seen = append(seen, id.String())
		yield(id, critical, &value)
	}
}

// maxExtensions bounds the extensions of one thing; RFC 5280 knows fewer.
const maxExtensions = 32

func isSM2SM3(algorithm []byte) bool {
	in := der.Read(algorithm, ErrMalformed)
	return in.Algorithm("algorithm").Equal(oidSM2SM3) && in.Err() == nil
}

// distribution says of which certificates a list speaks: the issuing distribution point (RFC 5280 section 5.2.5). The zero
// value is of all. Large authorities cut their lists by it, a few thousand certificates to a list.
type distribution struct {
	points                     []string // addresses; when there are some, a certificate must name one of them
	onlyUsers, onlyAuthorities bool
}

// read takes a distribution point. One that leaves reasons out, or speaks for other authorities, is refused.
func (d *distribution) read(value *der.Cursor) {
	const member = "its distribution point"
	body := value.Sequence(member)
	value.End(member)
	if name, named := body.Optional(der.Explicit(0), member); named {
		d.readName(&name)
	}
	for !body.Empty() {
		tag, flag := body.Any(member)
		set := len(flag) == 1 && flag[0] == 0xff
		switch {
		case tag == der.Context(1) && set:
			d.onlyUsers = true
		case tag == der.Context(2) && set:
			d.onlyAuthorities = true
		default: // some reasons only, indirect, attribute certificates, or no DER
			body.Fail("its distribution point is of an unsupported kind")
		}
	}
}

// readName reads DistributionPointName: a full name of one or more addresses.
func (d *distribution) readName(name *der.Cursor) {
	names := name.Into(der.Explicit(0), "its distribution point has no full name")
	name.End("its distribution point has no full name")
	for !names.Empty() {
		if len(d.points) == maxExtensions {
			names.Fail("its distribution point")
		}
		if tag, address := names.Any("its distribution point"); tag == der.Context(6) {
			d.points = append(d.points, string(address))
		}
	}
	if len(d.points) == 0 {
		names.Fail("its distribution point has no address")
	}
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

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
