package revocation

import (
	"bytes"
	"cmp"
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

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// MaxList bounds a revocation list in bytes: about 400,000 revoked certificates. A list is kept as its bytes and four more
// per entry, so that the largest costs less than 32 MB.
const MaxList = 16 << 20

// A List is a certificate revocation list that was read; [List.Verify] says whether to trust it. It does not change and is
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
		for in := der.Read(l.entries, ErrMalformed); !in.Empty(); {
			raw := readEntry(&in)
			if !yield(raw.entry()) {
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
		in := der.Read(l.entries[l.starts[i]:], ErrMalformed)
		raw := readEntry(&in)
		e := raw.entry() // was read before, in ParseList
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

// since is from when on the certificate must not be trusted.
func (e Entry) since() time.Time {
	if !e.Invalid.IsZero() && e.Invalid.Before(e.Time) {
		return e.Invalid
	}
	return e.Time
}

// serial is the INTEGER's content of the entry that starts there.
func (l *List) serial(start uint32) []byte {
	in := der.Read(l.entries[start:], ErrMalformed)
	entry := in.Sequence(errEntry)
	return entry.Content(der.Integer, errEntry)
}

func serialBytes(n *big.Int) []byte {
	marshalled, err := asn1.Marshal(n)
	if err != nil {
		return nil // a nil number
	}
	in := der.Read(marshalled, ErrMalformed)
	return in.Content(der.Integer, errForm)
}

// Verify tells whether issuer made the list and may make lists: name, key identifier, the right cRLSign, the signature. An
// error may be [check.Undecided].
func (l *List) Verify(issuer *pki.Certificate, verify sm.VerifyFunc) error {
	if !bytes.Equal(l.issuer, issuer.RawSubject) {
		return fmt.Errorf("%w: the list names another issuer", ErrWrongIssuer)
	}
	if len(l.authority) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(l.authority, issuer.SubjectKeyId) {
		return fmt.Errorf("%w: the list names another key of the issuer", ErrWrongIssuer)
	}
	if !issuer.IsCA || issuer.KeyUsage&smx509.KeyUsageCRLSign == 0 {
		return fmt.Errorf("%w: the issuer has no cRLSign key usage", ErrBadSignature)
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
		if s = s.withRevocation(e.since(), at, e.Reason); s.State == Revoked && e.Reason != pki.OnHold {
			return s, nil
		}
	}
	return s, checkCovered(c, l.This, l.Next, at)
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
