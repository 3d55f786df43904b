package revocation_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	tjx509 "github.com/tjfoc/gmsm/x509"
	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
)

const hour, dayLong = time.Hour, 24 * time.Hour

func TestListTells(t *testing.T) {
	c := newCity(t, "tells", false, false)
	at := certstest.Epoch
	leaf := c.path[0]
	revoked := func(when time.Time, why pki.Reason) []pki.Revoked {
		return []pki.Revoked{{Serial: big.NewInt(5), Time: at}, {Serial: leaf.SerialNumber, Time: when, Reason: why}}
	}
	for _, test := range []struct {
		name    string
		revoked []pki.Revoked
		asked   time.Time
		state   revocation.State
		err     error
	}{
		{"good", nil, at, revocation.Good, nil},
		{"somebody else", []pki.Revoked{{Serial: big.NewInt(5), Time: at}}, at, revocation.Good, nil},
		{"revoked", revoked(at.Add(-hour), pki.KeyCompromise), at, revocation.Revoked, nil},
		{"revoked later", revoked(at.Add(hour), pki.Superseded), at, revocation.Good, nil},
		{"revoked this second", revoked(at, pki.Superseded), at, revocation.Revoked, nil},
		{"before the list", nil, at.Add(-dayLong), revocation.Good, nil},
		{"after the list", nil, at.Add(2 * dayLong), "", revocation.ErrStale},
		{"revoked, after the list", revoked(at, pki.KeyCompromise), at.Add(2 * dayLong), revocation.Revoked, nil},
		{"on hold, after the list", revoked(at, pki.OnHold), at.Add(2 * dayLong), "", revocation.ErrStale},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := revocation.ParseList(c.list(c.Intermediate, 7, test.revoked))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Verify(c.path[1], nil); err != nil {
				t.Fatal(err)
			}
			s, err := l.Status(leaf, test.asked)
			if !errors.Is(err, test.err) || err == nil && s.State != test.state {
				t.Fatalf("%+v, %v", s, err)
			}
			if s.State == revocation.Revoked && (s.Reason != test.revoked[1].Reason || !s.Time.Equal(test.revoked[1].Time)) {
				t.Errorf("%+v", s)
			}
			if l.Number.Int64() != 7 || l.Len() != len(test.revoked) {
				t.Errorf("number %v, %d entries", l.Number, l.Len())
			}
		})
	}
}

// A list that outlives the certificate may have forgotten it.
func TestListForgets(t *testing.T) {
	c := newCity(t, "forgets", false, false)
	c.set(func() { c.now = c.path[0].NotAfter.Add(dayLong) })
	l, err := revocation.ParseList(c.list(c.Intermediate, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Status(c.path[0], certstest.Epoch); !errors.Is(err, revocation.ErrStale) {
		t.Error(err)
	}
}

func TestListOfAnother(t *testing.T) {
	c, other := newCity(t, "one", false, false), newCity(t, "other", false, false)
	l, err := revocation.ParseList(other.list(other.Intermediate, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		issuer *pki.Certificate
		want   error
	}{
		"same name, another key id": {c.path[1], revocation.ErrWrongIssuer},
		"another name":              {other.path[2], revocation.ErrWrongIssuer},
		"no authority":              {other.path[0], revocation.ErrWrongIssuer},
	} {
		if err := l.Verify(test.issuer, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.Status(c.path[1], certstest.Epoch); !errors.Is(err, revocation.ErrWrongIssuer) {
		t.Errorf("a list about certificates of another authority: %v", err)
	}
	// Name and key identifier copied, key another.
	forged := *c.path[1]
	forged.PublicKey = c.Signer("mallory").Public()
	mine, err := revocation.ParseList(c.list(c.Intermediate, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Verify(&forged, nil); !errors.Is(err, revocation.ErrBadSignature) {
		t.Errorf("forged: %v", err)
	}
	forged = *c.path[1]
	forged.KeyUsage = smx509.KeyUsageCertSign
	if err := mine.Verify(&forged, nil); !errors.Is(err, revocation.ErrBadSignature) {
		t.Errorf("may not sign lists: %v", err)
	}
}

// Every byte of a list counts: changed or cut, it is refused or its signature fails.
func TestListAltered(t *testing.T) {
	c := newCity(t, "altered", false, false)
	der := c.list(c.Intermediate, 7, []pki.Revoked{{Serial: c.path[0].SerialNumber, Time: certstest.Epoch, Reason: pki.OnHold}})
	for i := range der {
		bad := bytes.Clone(der)
		bad[i] ^= 1
		if l, err := revocation.ParseList(bad); err == nil && l.Verify(c.path[1], nil) == nil {
			t.Errorf("byte %d changed: accepted", i)
		}
		if _, err := revocation.ParseList(der[:i]); err == nil {
			t.Errorf("cut at %d: read", i)
		}
	}
	if _, err := revocation.ParseList(append(bytes.Clone(der), 0)); err == nil {
		t.Error("a byte more: read")
	}
	if _, err := revocation.ParseList(pki.MarshalCRL(der)); err != nil {
		t.Errorf("PEM: %v", err)
	}
	if _, err := revocation.ParseList(append(pki.MarshalCRL(der), 'x')); err == nil {
		t.Error("PEM and more: read")
	}
}

// The other library reads our lists and finds their signatures right.
func TestListSecondLibrary(t *testing.T) {
	c := newCity(t, "second", false, false)
	der := c.list(c.Intermediate, 7, []pki.Revoked{{Serial: c.path[0].SerialNumber, Time: certstest.Epoch, Reason: pki.KeyCompromise}})
	l, err := tjx509.ParseDERCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := tjx509.ParseCertificate(c.path[1].Raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := issuer.CheckCRLSignature(l); err != nil {
		t.Error(err)
	}
	if len(l.TBSCertList.RevokedCertificates) != 1 {
		t.Error("entries")
	}
}

// foreign makes a list with extensions that our authority never writes.
func foreign(t *testing.T, c *city, extensions, entry []pkix.Extension) []byte {
	t.Helper()
	der, err := smx509.CreateRevocationList(rand.Reader, &smx509.RevocationList{
		SignatureAlgorithm: smx509.SM2WithSM3, Number: big.NewInt(3), ThisUpdate: certstest.Epoch, NextUpdate: certstest.Epoch.Add(dayLong),
		ExtraExtensions: extensions, RevokedCertificateEntries: []smx509.RevocationListEntry{
			{SerialNumber: big.NewInt(5), RevocationTime: certstest.Epoch, ExtraExtensions: entry}},
	}, c.path[1], sm.CryptoSigner{Ctx: t.Context(), Signer: c.Signer("ca-sub")})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestListExtensions(t *testing.T) {
	c := newCity(t, "extensions", true, false)
	point := func(parts ...[]byte) []byte { return wrap(tag.SEQUENCE, bytes.Join(parts, nil)) }
	name := func(uri string) []byte {
		return wrap(0xa0, wrap(0xa0, wrap(0x86, []byte(uri))))
	}
	yes := []byte{0xff}
	oid := func(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, last} }
	for _, test := range []struct {
		name        string
		list, entry []pkix.Extension
		parse       error
		leaf, sub   error // of Status
	}{
		{name: "plain", sub: revocation.ErrWrongIssuer},
		{name: "delta", list: []pkix.Extension{{Id: oid(27), Critical: true, Value: []byte{2, 1, 1}}}, parse: revocation.ErrMalformed},
		{name: "unknown, critical", list: []pkix.Extension{{Id: oid(99), Critical: true, Value: []byte{5, 0}}}, parse: revocation.ErrMalformed},
		{name: "unknown", list: []pkix.Extension{{Id: oid(99), Value: []byte{5, 0}}}, sub: revocation.ErrWrongIssuer},
		{name: "twice", list: []pkix.Extension{{Id: oid(99), Value: []byte{5, 0}}, {Id: oid(99), Value: []byte{5, 0}}}, parse: revocation.ErrMalformed},
		{name: "indirect entry", entry: []pkix.Extension{{Id: oid(29), Critical: true, Value: []byte{0x30, 0}}}, parse: revocation.ErrMalformed},
		{name: "users only", list: []pkix.Extension{{Id: oid(28), Critical: true, Value: point(wrap(0x81, yes))}}, sub: revocation.ErrWrongIssuer},
		{name: "authorities only", list: []pkix.Extension{{Id: oid(28), Critical: true, Value: point(wrap(0x82, yes))}}, leaf: revocation.ErrScope},
		{name: "some reasons", list: []pkix.Extension{{Id: oid(28), Critical: true, Value: point(wrap(0x83, []byte{1, 0x40}))}}, parse: revocation.ErrMalformed},
		{name: "indirect", list: []pkix.Extension{{Id: oid(28), Critical: true, Value: point(wrap(0x84, yes))}}, parse: revocation.ErrMalformed},
		{name: "our part", list: []pkix.Extension{{Id: oid(28), Critical: true, Value: point(name(c.path[0].CRLDistributionPoints[0]))}}},
		{name: "another part", list: []pkix.Extension{{Id: oid(28), Critical: true, Value: point(name("http://example.cn/2.crl"))}}, leaf: revocation.ErrScope},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := revocation.ParseList(foreign(t, c, test.list, test.entry))
			if !errors.Is(err, test.parse) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if _, err := l.Status(c.path[0], certstest.Epoch); !errors.Is(err, test.leaf) {
				t.Error(err)
			}
			if _, err := l.Status(c.path[1], certstest.Epoch); test.sub != nil && !errors.Is(err, test.sub) {
				t.Error(err)
			}
		})
	}
}

// The date of an invalidity before that of the revocation counts: since then the key may have been another's.
func TestListInvalidityDate(t *testing.T) {
	c := newCity(t, "invalidity", false, false)
	lost := certstest.Epoch.Add(-30 * dayLong)
	value, err := asn1.MarshalWithParams(lost, "generalized")
	if err != nil {
		t.Fatal(err)
	}
	l, err := revocation.ParseList(foreign(t, c, nil, []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Value: value}}))
	if err != nil {
		t.Fatal(err)
	}
	of := *c.path[0]
	of.SerialNumber = big.NewInt(5)
	if s, err := l.Status(&of, certstest.Epoch.Add(-dayLong)); err != nil || s.State != revocation.Revoked || !s.Time.Equal(lost) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := l.Status(&of, lost.Add(-hour)); err != nil || s.State != revocation.Good {
		t.Errorf("%+v, %v", s, err)
	}
}

func wrap(t tag.Tag, content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(t, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.BytesOrPanic()
}

// bigList is a list of n entries, serial numbers 16 random octets, ours last.
func bigList(tb testing.TB, w *certstest.World, n int) []byte {
	issuer := w.Intermediate.Certificate()
	tbs := func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddBytes([]byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75})
		b.AddBytes(issuer.RawSubject)
		b.AddASN1UTCTime(certstest.Epoch)
		b.AddASN1UTCTime(certstest.Epoch.Add(dayLong))
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			random := w.Stream("serials")
			for range n {
				serial := make([]byte, 16)
				random.Read(serial)
				serial[0] = serial[0]&0x3f | 0x40
				b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(tag.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
					b.AddASN1UTCTime(certstest.Epoch)
				})
			}
		})
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, revocation.MaxList))
	b.AddASN1(tag.SEQUENCE, tbs)
	body, err := b.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	rs, err := w.Signer("ca-sub").Sign(tb.Context(), body)
	if err != nil {
		tb.Fatal(err)
	}
	signature, err := sm.RawToDER(rs)
	if err != nil {
		tb.Fatal(err)
	}
	out := cryptobyte.NewFixedBuilder(make([]byte, 0, revocation.MaxList))
	out.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(body)
		b.AddBytes([]byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75})
		b.AddASN1BitString(signature)
	})
	der, err := out.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// A list of the largest size costs little more than itself.
func TestBigList(t *testing.T) {
	w := certstest.New(t, "big")
	der := bigList(t, w, 450_000)
	if len(der) < 15<<20 {
		t.Fatalf("only %d bytes", len(der))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := revocation.ParseList(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Verify(w.Intermediate.Certificate(), nil); err != nil {
		t.Fatal(err)
	}
	random := w.Stream("serials")
	for i := range 450_000 {
		serial := make([]byte, 16)
		random.Read(serial)
		serial[0] = serial[0]&0x3f | 0x40
		n := new(big.Int).SetBytes(serial)
		if i%1000 > 0 {
			continue
		}
		if e, found := l.Lookup(n); !found || e.Serial.Cmp(n) != 0 {
			t.Fatalf("entry %d not found", i)
		}
		if _, found := l.Lookup(n.Add(n, big.NewInt(1))); found {
			t.Fatalf("entry %d and one: found", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("%d bytes are kept besides the list", grown)
	}
	runtime.KeepAlive(der)
	if _, err := revocation.ParseList(make([]byte, revocation.MaxList*3/2+1)); !errors.Is(err, revocation.ErrMalformed) {
		t.Error("too large: read")
	}
}

func BenchmarkParseBigList(b *testing.B) {
	w := certstest.New(b, "big")
	der := bigList(b, w, 450_000)
	b.SetBytes(int64(len(der)))
	b.ReportAllocs()
	for b.Loop() {
		l, err := revocation.ParseList(der)
		if err != nil {
			b.Fatal(err)
		}
		l.Lookup(big.NewInt(1))
	}
}

// What is in a list is found, and nothing else, whatever the numbers.
func TestLookupFinds(t *testing.T) {
	c := newCity(t, "finds", false, false)
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.SliceOfNDistinct(rapid.Int64Range(1, 1<<40), 0, 20, rapid.ID[int64]).Draw(rt, "numbers")
		var revoked []pki.Revoked
		in := make(map[int64]bool)
		for _, n := range numbers {
			revoked = append(revoked, pki.Revoked{Serial: big.NewInt(n), Time: certstest.Epoch, Reason: pki.Superseded})
			in[n] = true
		}
		l, err := revocation.ParseList(c.list(c.Intermediate, 1, revoked))
		if err != nil {
			rt.Fatal(err)
		}
		for _, n := range append(numbers, rapid.Int64Range(1, 1<<40).Draw(rt, "other"), 127, 128, 255, 256) {
			if _, found := l.Lookup(big.NewInt(n)); found != in[n] {
				rt.Errorf("%d: found %v", n, found)
			}
		}
		count := 0
		for e := range l.Entries() {
			count++
			if !in[e.Serial.Int64()] {
				rt.Errorf("%v is not in it", e.Serial)
			}
		}
		if count != len(numbers) {
			rt.Errorf("%d entries of %d", count, len(numbers))
		}
	})
}
