package revocation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// MaxList bounds a revocation list in bytes: about 400,000 revoked certificates. A list is kept as its bytes and four more
// per entry, so that the largest costs less than 32 MB.
const MaxList = 16 << 20

// A List is a certificate revocation list that was read; [List.Verify] says whether to believe it. It does not change and is
// safe for concurrent use.
type List struct {
	Raw          []byte // DER
	Number       *big.Int
	This, Next   time.Time
	issuer       []byte // Name, DER
	authority    []byte // key identifier; may be empty
	tbs          []byte
	signature    []byte
	entries      []byte   // contents of revokedCertificates
	starts       []uint32 // where each entry starts, in order of serial numbers once sorted
	sort         sync.Once
	distribution distribution
}

// An Entry is one revoked certificate of a list.
type Entry struct {
	pki.Revoked
	// Invalid is when the authority thinks that the key was lost, if it says so and that was before Time.
	Invalid time.Time
}

// Len is the number of entries.
func (l *List) Len() int { return len(l.starts) }

// Entries gives every entry, in no particular order.
func (l *List) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for rest := cryptobyte.String(l.entries); !rest.Empty(); {
			raw, ok := readEntry(&rest)
			if e, _ := raw.entry(); !ok || !yield(e) {
				return
			}
		}
	}
}

// Lookup finds a serial number. Of several entries with it, the one that was invalid first counts.
func (l *List) Lookup(serial *big.Int) (found Entry, ok bool) {
	want := serialBytes(serial)
	l.sort.Do(l.sortStarts)
	i := sort.Search(len(l.starts), func(i int) bool { return compareSerials(l.serial(l.starts[i]), want) >= 0 })
	for ; i < len(l.starts) && bytes.Equal(l.serial(l.starts[i]), want); i++ {
		rest := cryptobyte.String(l.entries[l.starts[i]:])
		raw, _ := readEntry(&rest)
		e, _ := raw.entry() // was read before, in ParseList
		if !ok || e.since().Before(found.since()) {
			found, ok = e, true
		}
	}
	return found, ok
}

// sortStarts puts the entries in order of their serial numbers, comparing eight bytes of each where that settles it.
func (l *List) sortStarts() {
	type key struct {
		first uint64
		start uint32
	}
	keys := make([]key, len(l.starts))
	for i, start := range l.starts {
		var first [8]byte
		serial := l.serial(start)
		first[0] = byte(len(serial))
		copy(first[1:], serial)
		keys[i] = key{binary.BigEndian.Uint64(first[:]), start}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return compareSerials(l.serial(a.start), l.serial(b.start))
	})
	for i, k := range keys {
		l.starts[i] = k.start
	}
}

// compareSerials orders the contents of INTEGERs, the shorter first. Equal numbers have equal contents.
func compareSerials(a, b []byte) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}

// since is from when on the certificate must not be believed.
func (e Entry) since() time.Time {
	if !e.Invalid.IsZero() && e.Invalid.Before(e.Time) {
		return e.Invalid
	}
	return e.Time
}

// serial is the INTEGER's content of the entry that starts there.
func (l *List) serial(start uint32) []byte {
	rest := cryptobyte.String(l.entries[start:])
	var entry, serial cryptobyte.String
	_ = rest.ReadASN1(&entry, tag.SEQUENCE) && entry.ReadASN1(&serial, tag.INTEGER)
	return serial
}

func serialBytes(n *big.Int) []byte {
	der, err := asn1.Marshal(n)
	if err != nil {
		return nil // a nil number
	}
	var content cryptobyte.String
	rest := cryptobyte.String(der)
	rest.ReadASN1(&content, tag.INTEGER)
	return content
}

// Verify tells whether issuer made the list and may make lists: name, key identifier, the right cRLSign, the signature. An
// error may be [check.Undecided].
func (l *List) Verify(issuer *pki.Certificate, verify sm.VerifyFunc) error {
	if !bytes.Equal(l.issuer, issuer.RawSubject) {
		return fmt.Errorf("%w: the list's issuer is somebody else", ErrWrongIssuer)
	}
	if len(l.authority) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(l.authority, issuer.SubjectKeyId) {
		return fmt.Errorf("%w: the list names another key of the issuer", ErrWrongIssuer)
	}
	if !issuer.IsCA || issuer.KeyUsage&smx509.KeyUsageCRLSign == 0 {
		return fmt.Errorf("%w: the issuer may not sign lists", ErrBadSignature)
	}
	pub, err := pki.PublicKey(issuer)
	if err != nil {
		return fmt.Errorf("%w: the issuer has no SM2 key", ErrBadSignature)
	}
	switch err := pki.VerifyDER(orDefault(verify), pub, l.tbs, l.signature); {
	case check.Undecided(err):
		return err
	case err != nil:
		return fmt.Errorf("%w: the list's signature does not verify", ErrBadSignature)
	}
	return nil
}

// Status says what the list says of a certificate at a moment. The caller has verified the list under c's issuer.
func (l *List) Status(c *pki.Certificate, at time.Time) (Status, error) {
	if !bytes.Equal(l.issuer, c.RawIssuer) {
		return Status{}, fmt.Errorf("%w: another authority issued the certificate", ErrWrongIssuer)
	}
	if err := l.distribution.covers(c); err != nil {
		return Status{}, err
	}
	s := Status{State: Good, By: CRL, This: l.This, Next: l.Next}
	if e, found := l.Lookup(c.SerialNumber); found {
		// A revocation does not wear off, however old the list is.
		if s = s.settle(e.since(), at, e.Reason); s.State == Revoked && e.Reason != pki.OnHold {
			return s, nil
		}
	}
	return s, speaksOf(c, l.This, l.Next, at)
}

// Answer is a [Responder]'s Lookup from a list, for an authority that keeps no other record: what is not in it is good.
func (l *List) Answer(_ context.Context, serial *big.Int) (Status, error) {
	if e, found := l.Lookup(serial); found {
		return Status{State: Revoked, Time: e.Time, Reason: e.Reason, By: CRL, This: l.This, Next: l.Next}, nil
	}
	return Status{State: Good, By: CRL, This: l.This, Next: l.Next}, nil
}

func orDefault(verify sm.VerifyFunc) sm.VerifyFunc {
	if verify == nil {
		return sm.Verify
	}
	return verify
}

// unwrapPEM takes one PEM block off, if that is what there is.
func unwrapPEM(data []byte, label string) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data[:min(len(data), 256)]), []byte("-----BEGIN ")) {
		return data, nil
	}
	inside, err := der.Block(data, label)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return inside, nil
}
