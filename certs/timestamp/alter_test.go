package timestamp

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// given is a token in the making, what it is held against, and by whom.
type given struct {
	members  [][]byte // of TSTInfo, in order
	sign     cms.Config
	by       []cms.Identity
	after    func([]byte) []byte // on the finished token
	data     []byte
	nonce    *big.Int
	verifier *Verifier
}

// Members of TSTInfo in the tokens that are altered here.
const (
	atVersion = iota
	atPolicy
	atImprint
	atSerial
	atTime
	atNonce // and nothing after it
)

// Whatever is wrong with a token, the step that is about it fails, and no other.
func TestAlterations(t *testing.T) {
	w, stranger := certstest.New(t, "tsa"), certstest.New(t, "stranger")
	now := certstest.Epoch.Add(time.Hour)
	data := []byte("the value of a signature")
	policy := asn1.ObjectIdentifier{1, 2, 156, 99999, 1}
	identity := func(w *certstest.World, usage string) cms.Identity {
		s, chain := w.Issue("tsa-1", usage, "11990100000001010B", "示例市政务服务局")
		return cms.Identity{Signer: s, Chain: chain}
	}
	// purposes is an identity whose certificate has the given extended key usage.
	purposes := func(critical bool, usage smx509.KeyUsage, purpose ...asn1.ObjectIdentifier) cms.Identity {
		s := w.Signer("tsa-1")
		v := marshalled(t, purpose)
		raw, err := smx509.CreateCertificate(rand.Reader, &smx509.Certificate{
			SerialNumber: big.NewInt(5), NotBefore: certstest.Epoch, NotAfter: now.Add(time.Hour), KeyUsage: usage,
			Subject: pkix.Name{CommonName: "tsa"}, BasicConstraintsValid: true, SignatureAlgorithm: smx509.SM2WithSM3,
			ExtraExtensions: []pkix.Extension{{Id: extendedKeyUsage, Critical: critical, Value: v}},
		}, w.Intermediate.Certificate(), s.Public(), sm.CryptoSigner{Ctx: t.Context(), Signer: w.Signer("ca-sub")})
		if err != nil {
			t.Fatal(err)
		}
		cert, err := pki.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return cms.Identity{Signer: s, Chain: []*pki.Certificate{cert, w.Intermediate.Certificate()}}
	}
	stamping, signing := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}
	const bits = smx509.KeyUsageDigitalSignature
	by := func(id cms.Identity) func(*given) { return func(g *given) { g.by = []cms.Identity{id} } }
	set := func(i int, member []byte) func(*given) { return func(g *given) { g.members[i] = member } }
	insert := func(i int, member ...[]byte) func(*given) {
		return func(g *given) { g.members = slices.Insert(g.members, i, member...) }
	}
	at := func(s string) []byte {
		return marshalled(t, asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(s)})
	}
	flip := func(needle []byte) func(*given) {
		return func(g *given) {
			g.after = func(b []byte) []byte { b[bytes.LastIndex(b, needle)+len(needle)-1] ^= 1; return b }
		}
	}
	name := func(c *pki.Certificate) []byte {
		directory := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: c.RawSubject}
		return marshalled(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: marshalled(t, directory)})
	}
	extension := func(critical bool) []byte {
		e := marshalled(t, pkix.Extension{Id: policy, Critical: critical, Value: []byte{5, 0}})
		return marshalled(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: e})
	}
	tsa := identity(w, pki.TimeStamp)
	for _, c := range []struct {
		name  string
		alter func(*given)
		fails string // steps without "timestamp-"
	}{
		{"nothing", func(*given) {}, ""},
		{"GB/T 35275 throughout", func(g *given) { g.sign.Dialect, g.sign.ContentType = cms.GM, cms.GM.Data() }, ""},
		{"no nonce asked for", func(g *given) { g.nonce = nil }, ""},
		{"SHA-256", func(g *given) {
			i, _ := ImprintOf(SHA256, data)
			g.members[atImprint] = imprint(t, i)
		}, ""},
		{"fraction of a second", set(atTime, at("20261123050000.123456Z")), ""},
		{"accuracy", insert(atNonce, []byte{0x30, 10, 2, 1, 1, 0x80, 2, 3, 0xe7, 0x81, 1, 1}), ""},
		{"ordering", insert(atNonce, []byte{1, 1, 0xff}), ""},
		{"its own name", insert(atNonce+1, name(tsa.Chain[0])), ""},
		{"extension", insert(atNonce+1, extension(false)), ""},
		{"not bound to its certificate", func(g *given) { g.sign.SigningCertificate = false }, "signer"}, // RFC 3161 section 2.4.2

		{"other data", func(g *given) { g.data = []byte("other") }, "imprint"},
		{"no data", func(g *given) { g.data = nil }, "imprint"},
		{"unknown digest", func(g *given) { g.members[atImprint] = imprint(t, Imprint{policy, make([]byte, 32)}) }, "imprint"},
		{"digest of another algorithm", func(g *given) {
			i, _ := ImprintOf(SM3, data)
			g.members[atImprint] = imprint(t, Imprint{SHA256, i.Digest})
		}, "imprint"},
		{"another nonce", func(g *given) { g.nonce = big.NewInt(1) }, "nonce"},
		{"no nonce", func(g *given) { g.members = g.members[:atNonce] }, "nonce"},
		{"another policy", set(atPolicy, marshalled(t, asn1.ObjectIdentifier{1, 2, 3})), "policy"},
		{"from the future", set(atTime, at("20261123060600Z")), "time"},
		{"from the far future", set(atTime, at("20361123060600Z")), "chain time"},
		{"from before its certificate", set(atTime, at("20251123050000Z")), "chain"},
		{"anchors of others", func(g *given) { g.verifier.Chain = stranger.Trust().Chain }, "chain"},
		{"authority nobody trusts", by(identity(stranger, pki.TimeStamp)), "chain"},
		{"another's name", insert(atNonce+1, name(w.Root.Certificate())), "usage"},
		{"a sealing certificate", by(identity(w, pki.Seal)), "usage"},
		{"purpose of RFC 3161", by(purposes(true, bits, stamping)), ""},
		{"purpose that is not critical", by(purposes(false, bits, stamping)), "usage"},
		{"two purposes", by(purposes(true, bits, stamping, signing)), "usage"},
		{"another purpose", by(purposes(true, bits, signing)), "usage"},
		{"unknown purpose besides", by(purposes(true, bits, stamping, policy)), "usage"},
		{"a key that also encrypts", by(purposes(true, bits|smx509.KeyUsageKeyEncipherment, stamping)), "usage"},
		{"no certificate inside", func(g *given) { g.sign.OmitCertificates = true }, "signer"},
		{"no certificate inside, but known", func(g *given) { g.sign.OmitCertificates, g.verifier.Certificates = true, tsa.Chain }, ""},
		{"revoked", func(g *given) {
			g.verifier.Revocation = func(context.Context, cms.Evidence) (check.State, string) { return check.Failed, "revoked" }
		}, "revocation"},
		{"content", flip(marshalled(t, policy)), "policy digest"},
		{"serial number", flip(marshalled(t, big.NewInt(4712))), "digest"},
		{"signature", func(g *given) { g.after = func(b []byte) []byte { b[len(b)-1] ^= 1; return b } }, "signature"},
		{"signed attributes", flip([]byte("261123050000Z")), "signature"},

		{"two signers", func(g *given) { g.by = append(g.by, identity(w, pki.Seal)) }, "parse"},
		{"detached", func(g *given) { g.sign.Detached = true }, "parse"},
		{"plain data", func(g *given) { g.sign.ContentType = cms.RFC.Data() }, "parse"},
		{"version 2", set(atVersion, []byte{2, 1, 2}), "parse"},
		{"no serial number", func(g *given) { g.members = slices.Delete(g.members, atSerial, atSerial+1) }, "parse"},
		{"no time", func(g *given) { g.members = slices.Delete(g.members, atTime, atTime+1) }, "parse"},
		{"UTCTime", set(atTime, marshalled(t, asn1.RawValue{Tag: asn1.TagUTCTime, Bytes: []byte("261123050000Z")})), "parse"},
		{"local time", set(atTime, at("20261123050000+0800")), "parse"},
		{"no seconds", set(atTime, at("202611230500Z")), "parse"},
		{"fraction with a zero", set(atTime, at("20261123050000.10Z")), "parse"},
		{"fraction of nothing", set(atTime, at("20261123050000.Z")), "parse"},
		{"fraction with a comma", set(atTime, at("20261123050000,1Z")), "parse"},
		{"13th month", set(atTime, at("20261323050000Z")), "parse"},
		{"accuracy of 1000 ms", insert(atNonce, []byte{0x30, 4, 0x80, 2, 3, 0xe8}), "parse"},
		{"accuracy of 0 µs", insert(atNonce, []byte{0x30, 3, 0x81, 1, 0}), "parse"},
		{"negative accuracy", insert(atNonce, []byte{0x30, 3, 2, 1, 0xff}), "parse"},
		{"accuracy of centuries", insert(atNonce, []byte{0x30, 7, 2, 5, 0x7f, 0xff, 0xff, 0xff, 0xff}), "parse"},
		{"ordering FALSE, written", insert(atNonce, []byte{1, 1, 0}), "parse"},
		{"critical extension", insert(atNonce+1, extension(true)), "parse"},
		{"member nobody knows", insert(atNonce+1, []byte{4, 0}), "parse"},
		{"byte after the token", func(g *given) { g.after = func(b []byte) []byte { return append(b, 0) } }, "parse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := ImprintOf(SM3, data)
			if err != nil {
				t.Fatal(err)
			}
			g := &given{
				members: [][]byte{{2, 1, 1}, marshalled(t, policy), imprint(t, i), marshalled(t, big.NewInt(4712)), at("20261123050000Z"), marshalled(t, big.NewInt(4711))},
				sign:    cms.Config{Dialect: cms.RFC, ContentType: ContentType, SigningCertificate: true, Now: func() time.Time { return now }},
				by:      []cms.Identity{tsa}, data: data, nonce: big.NewInt(4711), after: func(b []byte) []byte { return b },
				verifier: &Verifier{
					Chain: w.Trust().Chain, Policies: []asn1.ObjectIdentifier{policy}, Now: func() time.Time { return now },
					Revocation: func(context.Context, cms.Evidence) (check.State, string) { return check.OK, "" },
				},
			}
			c.alter(g)
			content := marshalled(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(g.members, nil)})
			token, err := cms.Sign(t.Context(), g.sign, content, g.by...)
			if err != nil {
				t.Fatal(err)
			}
			r := g.verifier.Verify(t.Context(), g.after(token), g.data, g.nonce)
			var got []string
			for _, s := range r.Steps {
				if s.State == check.Failed {
					got = append(got, strings.TrimPrefix(s.Name, "timestamp-"))
				}
			}
			if strings.Join(got, " ") != c.fails {
				t.Errorf("failed %q, want %q\n%+v", got, c.fails, r.Steps)
			}
			if r.Time.IsZero() != (len(got) > 0) || (r.Failure() == nil) != (len(got) == 0) {
				t.Errorf("time %v, failure %v", r.Time, r.Failure())
			}
		})
	}
}

func marshalled(t *testing.T, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func imprint(t *testing.T, i Imprint) []byte {
	t.Helper()
	return marshalled(t, struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: i.Algorithm}, i.Digest})
}
