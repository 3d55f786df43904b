package revocation

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/pki"
)

var (
	oidSM2SM3           = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 501}
	oidCRLNumber        = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReason           = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidInvalidityDate   = asn1.ObjectIdentifier{2, 5, 29, 24}
	oidDistribution     = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	tagContext0         = tag.Tag(0).ContextSpecific()
	tagContext0Explicit = tag.Tag(0).ContextSpecific().Constructed()
)

// ParseList reads a list, DER or PEM ("X509 CRL"), strictly: version 2, SM2 with SM3, every entry. What we would have to
// understand and do not (delta lists, indirect lists, unknown critical extensions) is refused. The list keeps data.
func ParseList(data []byte) (*List, error) {
	if len(data) > MaxList*3/2 {
		return nil, malformed("the list is larger than %d bytes", MaxList)
	}
	der, err := unwrapPEM(data, "X509 CRL")
	if err != nil {
		return nil, err
	}
	if len(der) > MaxList {
		return nil, malformed("the list is larger than %d bytes", MaxList)
	}
	l := &List{Raw: der}
	input := cryptobyte.String(der)
	var list, tbs, outer cryptobyte.String
	if !input.ReadASN1(&list, tag.SEQUENCE) || !input.Empty() || !list.ReadASN1Element(&tbs, tag.SEQUENCE) ||
		!list.ReadASN1Element(&outer, tag.SEQUENCE) || !list.ReadASN1BitStringAsBytes(&l.signature) || !list.Empty() {
		return nil, malformed("it is no list")
	}
	l.tbs = tbs
	return l, l.readTBS(tbs, outer)
}

func (l *List) readTBS(tbs, outer cryptobyte.String) error {
	var body, inner, issuer cryptobyte.String
	var version int
	if !tbs.ReadASN1(&body, tag.SEQUENCE) || !body.ReadASN1Integer(&version) || version != 1 ||
		!body.ReadASN1Element(&inner, tag.SEQUENCE) || !body.ReadASN1Element(&issuer, tag.SEQUENCE) {
		return malformed("it is no list of version 2")
	}
	if string(inner) != string(outer) || !isSM2SM3(inner) {
		return malformed("it is not signed with SM2 and SM3")
	}
	l.issuer = issuer
	var ok bool
	if l.This, ok = readTime(&body); !ok {
		return malformed("its time cannot be read")
	}
	if body.PeekASN1Tag(tag.UTCTime) || body.PeekASN1Tag(tag.GeneralizedTime) {
		if l.Next, ok = readTime(&body); !ok || l.Next.Before(l.This) {
			return malformed("its next time cannot be read, or is before its time")
		}
	}
	var entries, extensions cryptobyte.String
	var has bool
	if !body.ReadOptionalASN1(&entries, &has, tag.SEQUENCE) || !body.ReadOptionalASN1(&extensions, nil, tagContext0Explicit) || !body.Empty() {
		return malformed("it ends where it should not")
	}
	if err := l.readEntries(entries); err != nil {
		return err
	}
	if len(extensions) == 0 {
		return nil
	}
	return eachExtension(extensions, l.extension)
}

// readEntries reads every entry once and notes where it starts.
func (l *List) readEntries(entries cryptobyte.String) error {
	l.entries = entries
	for rest := entries; !rest.Empty(); {
		start := len(entries) - len(rest)
		raw, ok := readEntry(&rest)
		if !ok {
			return malformed("entry %d", len(l.starts))
		}
		if len(raw.extensions) > 0 {
			if _, err := raw.entry(); err != nil {
				return fmt.Errorf("%w, entry %d", err, len(l.starts))
			}
		}
		l.starts = append(l.starts, uint32(start)) // < MaxList
	}
	return nil
}

// rawEntry is an entry whose parts were found and not read.
type rawEntry struct {
	serial, extensions cryptobyte.String
	time               time.Time
}

func readEntry(s *cryptobyte.String) (e rawEntry, ok bool) {
	var entry cryptobyte.String
	if !s.ReadASN1(&entry, tag.SEQUENCE) || !entry.ReadASN1(&e.serial, tag.INTEGER) || !minimal(e.serial) {
		return e, false
	}
	if e.time, ok = readTime(&entry); !ok {
		return e, false
	}
	if !entry.Empty() && (!entry.ReadASN1Element(&e.extensions, tag.SEQUENCE) || !entry.Empty()) {
		return e, false
	}
	return e, true
}

// minimal tells whether bytes are the only encoding of an INTEGER, of a size that a serial number can have.
func minimal(b []byte) bool {
	if len(b) == 0 || len(b) > 64 {
		return false
	}
	return len(b) == 1 || !(b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80)
}

func (raw rawEntry) entry() (Entry, error) {
	e := Entry{Revoked: pki.Revoked{Serial: new(big.Int).SetBytes(raw.serial), Time: raw.time}}
	if raw.serial[0]&0x80 != 0 {
		e.Serial.Sub(e.Serial, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw.serial))))
	}
	if len(raw.extensions) == 0 {
		return e, nil
	}
	return e, eachExtension(raw.extensions, func(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
		switch {
		case id.Equal(oidReason):
			var reason int
			if !value.ReadASN1Enum(&reason) || !value.Empty() || reason < 0 || reason > 10 || reason == 7 || reason == 8 {
				return malformed("the reason of a revocation")
			}
			e.Reason = pki.Reason(reason)
		case id.Equal(oidInvalidityDate):
			if !value.ReadASN1GeneralizedTime(&e.Invalid) || !value.Empty() {
				return malformed("the date of an invalidity")
			}
		case critical: // such as the other issuer of an indirect list
			return malformed("a critical extension that is not known")
		}
		return nil
	})
}

// extension reads one of the list's extensions.
func (l *List) extension(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
	switch {
	case id.Equal(oidCRLNumber):
		l.Number = new(big.Int)
		if !value.ReadASN1Integer(l.Number) || !value.Empty() || l.Number.Sign() < 0 || l.Number.BitLen() > 160 {
			return malformed("its number")
		}
	case id.Equal(oidAuthorityKeyID):
		var key cryptobyte.String
		if !value.ReadASN1(&value, tag.SEQUENCE) || !value.ReadOptionalASN1(&key, nil, tagContext0) {
			return malformed("its key identifier")
		}
		l.authority = key
	case id.Equal(oidDistribution):
		return l.distribution.read(value)
	case critical: // deltaCRLIndicator among them
		return malformed("a critical extension that is not known")
	}
	return nil
}

// eachExtension calls yield for each Extension of a SEQUENCE OF; one may not stand there twice.
func eachExtension(list cryptobyte.String, yield func(asn1.ObjectIdentifier, bool, cryptobyte.String) error) error {
	var extensions cryptobyte.String
	if !list.ReadASN1(&extensions, tag.SEQUENCE) || !list.Empty() {
		return malformed("extensions")
	}
	var seen []string
	for !extensions.Empty() {
		var e, value cryptobyte.String
		var id asn1.ObjectIdentifier
		critical := false
		if !extensions.ReadASN1(&e, tag.SEQUENCE) || !e.ReadASN1ObjectIdentifier(&id) ||
			e.PeekASN1Tag(tag.BOOLEAN) && !e.ReadASN1Boolean(&critical) || !e.ReadASN1(&value, tag.OCTET_STRING) || !e.Empty() {
			return malformed("an extension")
		}
		if slices.Contains(seen, id.String()) || len(seen) == maxExtensions {
			return malformed("an extension stands there twice, or there are too many")
		}
		seen = append(seen, id.String())
		if err := yield(id, critical, value); err != nil {
			return err
		}
	}
	return nil
}

// maxExtensions bounds the extensions of one thing; RFC 5280 knows fewer.
const maxExtensions = 32

func isSM2SM3(algorithm cryptobyte.String) bool {
	var id asn1.ObjectIdentifier
	if !algorithm.ReadASN1(&algorithm, tag.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidSM2SM3) {
		return false
	}
	return algorithm.Empty() || string(algorithm) == string(asn1.NullBytes)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
