package cms

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// given is what a verification is given, and may be altered.
type given struct {
	m        *Message
	content  []byte
	verifier Verifier
	at       time.Time
	marshal  func(*Message) ([]byte, error)
}

// Whatever is altered, the step that is about it fails, and no other that could still hold.
func TestAlterations(t *testing.T) {
	w, stranger := certstest.New(t, "cms"), certstest.New(t, "stranger")
	issue := func(w *certstest.World, keyID, usage string) Identity {
		s, chain := w.Issue(keyID, usage, "11990100000001010B", "示例市政务服务局")
		return Identity{Signer: s, Chain: chain}
	}
	id, twin := issue(w, "seal-1", pki.Seal), issue(w, "seal-1", pki.License)
	tst := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	var (
		attached = Config{SigningCertificate: true}
		loose    = Config{} // not bound to one certificate
		detached = Config{Detached: true}
		bare     = Config{Bare: true}
	)
	value := func(g *given, of asn1.ObjectIdentifier) []byte { // of the attribute in the octets that are written
		v, _ := g.m.Signers[0].attribute(of)
		i := bytes.Index(g.m.Signers[0].attributes, v)
		return g.m.Signers[0].attributes[i : i+len(v)]
	}
	without := func(g *given, of asn1.ObjectIdentifier) {
		var rest []Attribute
		for _, a := range g.m.Signers[0].Signed {
			if !a.Type.Equal(of) {
				rest = append(rest, a)
			}
		}
		g.m.Signers[0].Signed = rest
		g.m.Signers[0].attributes, _ = marshalAttributes(rest)
	}
	resign := func(g *given, message []byte) {
		rs, err := id.Signer.Sign(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		g.m.Signers[0].Signature, _ = sm.RawToDER(rs)
	}
	// typed is a message of one content type whose attribute, signed, names another.
	typed := func(g *given, content, attribute asn1.ObjectIdentifier) {
		der, err := asn1.Marshal(attribute)
		if err != nil {
			t.Fatal(err)
		}
		s := &g.m.Signers[0]
		for i, a := range s.Signed {
			if a.Type.Equal(oidContentType) {
				s.Signed[i].Value = der
			}
		}
		s.attributes, _ = marshalAttributes(s.Signed)
		g.m.ContentType = content
		resign(g, tlv(tagSet, s.attributes))
	}
	// known gives the digest of a content in place of it, as the judge of an OFD signature has it.
	known := func(g *given, content []byte) {
		digest := sm.Digest(content)
		g.verifier.Digest, g.content = digest[:], digest[:]
	}
	for _, c := range []struct {
		name   string
		config Config
		alter  func(*given)
		fails  string // steps without "cms-"
	}{
		{"nothing", attached, func(*given) {}, ""},
		{"nothing, detached", detached, func(*given) {}, ""},
		{"nothing, bare", bare, func(*given) {}, ""},

		{"content inside", attached, func(g *given) { g.m.Content[0] ^= 1 }, "digest"},
		{"content inside, bare", bare, func(g *given) { g.m.Content[0] ^= 1 }, "signature"},
		{"content emptied", attached, func(g *given) { g.m.Content = nil }, "digest"},
		{"content removed", attached, func(g *given) { g.m.Detached = true }, "digest"},
		{"content removed, bare", bare, func(g *given) { g.m.Detached = true }, "digest"},
		{"content given besides", attached, func(g *given) { g.content = []byte("other") }, "digest"},
		{"content given, the same", attached, func(g *given) { g.content = g.m.Content }, ""},
		{"content given, detached", detached, func(g *given) { g.content = []byte("other") }, "digest"},
		{"content not given", detached, func(g *given) { g.content = nil }, "digest"},
		{"content type", attached, func(g *given) { g.m.ContentType = tst }, "digest"},
		{"content type, bare", bare, func(g *given) { g.m.ContentType = tst }, "digest"},
		{"outer content type", attached, func(g *given) { g.m.Dialect = RFC }, ""}, // nothing signed says it
		{"attributes become the content", attached, func(g *given) {
			s := &g.m.Signers[0]
			g.m.Content, s.Signed, s.attributes = tlv(tagSet, s.attributes), nil, nil
		}, "digest"},
		{"many attributes become the content", bare, func(g *given) { // more than we would read; others would
			many := tlv(tagSet, bytes.Repeat(tlv(0x30, append(tlv(6, []byte{0x2a, 3}), tlv(tagSet, []byte{5, 0, 5, 0})...)), maxAttributes+1))
			g.m.Content = many
			resign(g, many)
		}, "digest"},
		{"a set that is no attributes", bare, func(g *given) {
			g.m.Content = tlv(tagSet, []byte{5, 0})
			resign(g, g.m.Content)
		}, ""},
		{"a text like a set", bare, func(g *given) { // "1" is the tag, "2" the length
			g.m.Content = []byte("12" + strings.Repeat("0", '2'))
			resign(g, g.m.Content)
		}, ""},
		{"content type RFC beside GM", attached, func(g *given) { typed(g, GM.Data(), RFC.Data()) }, ""},
		{"content type GM beside RFC", attached, func(g *given) { typed(g, RFC.Data(), GM.Data()) }, ""},
		{"content type RFC beside GM, bare", bare, func(g *given) { g.m.ContentType = RFC.Data() }, ""},
		{"content type of a time stamp beside data", attached, func(g *given) { typed(g, GM.Data(), tst) }, "digest"},
		{"content type of data beside a time stamp", attached, func(g *given) { typed(g, tst, RFC.Data()) }, "digest"},
		{"content type of signed data beside data", attached, func(g *given) { typed(g, GM.Data(), GM.signedData()) }, "digest"},
		{"digest of the content known", detached, func(g *given) { known(g, g.content) }, ""},
		{"digest of another content known", detached, func(g *given) { known(g, []byte("other")) }, "digest"},
		{"digest of the content known, attached", attached, func(g *given) {
			known(g, g.m.Content)
			g.content, g.m.Content = nil, g.content
		}, "digest"},
		{"digest of the content known, bare", Config{Bare: true, Detached: true}, func(g *given) { known(g, g.content) }, "signature"},

		{"message digest", attached, func(g *given) { value(g, oidMessageDigest)[5] ^= 1 }, "digest signature"},
		{"message digest removed and signed again", attached, func(g *given) {
			without(g, oidMessageDigest)
			resign(g, tlv(tagSet, g.m.Signers[0].attributes))
		}, "digest"},
		{"content type attribute removed and signed again", attached, func(g *given) {
			without(g, oidContentType)
			resign(g, tlv(tagSet, g.m.Signers[0].attributes))
		}, "digest"},
		{"signing time", attached, func(g *given) { value(g, oidSigningTime)[10] ^= 1 }, "signature"},
		{"signing time removed", attached, func(g *given) { without(g, oidSigningTime) }, "signature"},
		{"all attributes removed", attached, func(g *given) { g.m.Signers[0].Signed, g.m.Signers[0].attributes = nil, nil }, "signature"},
		{"attributes signed as if implicit", attached, func(g *given) { resign(g, tlv(tag0, g.m.Signers[0].attributes)) }, "signature"},
		{"content signed although there are attributes", attached, func(g *given) { resign(g, g.m.Content) }, "signature"},
		{"octet string with its head signed", bare, func(g *given) { resign(g, tlv(4, g.m.Content)) }, "signature"},
		{"attribute twice", attached, func(g *given) {
			g.m.Signers[0].attributes = append(bytes.Clone(g.m.Signers[0].attributes), g.m.Signers[0].attributes...)
		}, "parse"},

		{"attribute of two values", attached, func(g *given) {
			two := tlv(0x30, append(tlv(6, []byte{0x2a, 3}), tlv(tagSet, []byte{5, 0, 5, 0})...))
			g.m.Signers[0].attributes = append(bytes.Clone(g.m.Signers[0].attributes), two...)
		}, "parse"},
		{"key identifier", loose, func(g *given) { g.m.Signers[0].KeyID, g.m.Signers[0].Version = id.Chain[0].SubjectKeyId, 3 }, ""},
		{"another's key identifier", loose, func(g *given) { g.m.Signers[0].KeyID, g.m.Signers[0].Version = id.Chain[1].SubjectKeyId, 3 }, "signature chain"},
		{"nobody's key identifier", loose, func(g *given) { g.m.Signers[0].KeyID, g.m.Signers[0].Version = []byte{1}, 3 }, "signer"},
		{"key identifier of no bytes", loose, func(g *given) { g.m.Signers[0].KeyID, g.m.Signers[0].Version = []byte{}, 3 }, "parse"},
		{"key identifier in version 1", loose, func(g *given) { g.m.Signers[0].KeyID = id.Chain[0].SubjectKeyId }, "parse"},
		{"serial number in version 3", loose, func(g *given) { g.m.Signers[0].Version = 3 }, "parse"},

		{"signature", attached, func(g *given) { g.m.Signers[0].Signature[20] ^= 1 }, "signature"},
		{"signature of another", attached, func(g *given) {
			g.m.Signers[0].Signature, _ = sm.RawToDER(bytes.Repeat([]byte{7}, 64))
		}, "signature"},
		{"signature with a byte more", attached, func(g *given) { g.m.Signers[0].Signature = append(bytes.Clone(g.m.Signers[0].Signature), 0) }, "signature"},
		{"signature r‖s without DER", attached, func(g *given) { g.m.Signers[0].Signature, _ = sm.DERToRaw(g.m.Signers[0].Signature) }, ""},
		{"signature r‖s, another", attached, func(g *given) {
			g.m.Signers[0].Signature, _ = sm.DERToRaw(g.m.Signers[0].Signature)
			g.m.Signers[0].Signature[63] ^= 1
		}, "signature"},
		{"signature r‖s, s‖r", attached, func(g *given) {
			rs, _ := sm.DERToRaw(g.m.Signers[0].Signature)
			g.m.Signers[0].Signature = append(bytes.Clone(rs[32:]), rs[:32]...)
		}, "signature"},
		{"signature r‖s, r is zero", attached, func(g *given) {
			rs, _ := sm.DERToRaw(g.m.Signers[0].Signature)
			g.m.Signers[0].Signature = append(make([]byte, 32), rs[32:]...)
		}, "signature"},
		{"signature r‖s, a byte less", attached, func(g *given) {
			rs, _ := sm.DERToRaw(g.m.Signers[0].Signature)
			g.m.Signers[0].Signature = rs[:63]
		}, "signature"},
		{"signature 04‖r‖s", attached, func(g *given) {
			rs, _ := sm.DERToRaw(g.m.Signers[0].Signature)
			g.m.Signers[0].Signature = append([]byte{4}, rs...)
		}, "signature"},
		{"signature empty", attached, func(g *given) { g.m.Signers[0].Signature = nil }, "signature"},
		{"signature algorithm, the other name", attached, func(g *given) { g.m.Signers[0].SignatureAlgorithm = oidSM2WithSM3 }, ""},
		{"signature algorithm, the curve", attached, func(g *given) { g.m.Signers[0].SignatureAlgorithm = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301} }, "signature"},
		{"signature algorithm, ECDSA", attached, func(g *given) { g.m.Signers[0].SignatureAlgorithm = append(oidECDSA[:len(oidECDSA):len(oidECDSA)], 2) }, "signature"},
		{"digest algorithm, SHA-256", attached, func(g *given) { g.m.Signers[0].DigestAlgorithm = sha256Algorithm }, "digest signature"},
		{"digest algorithm, HMAC", attached, func(g *given) { g.m.Signers[0].DigestAlgorithm = append(SM3[:len(SM3):len(SM3)], 2) }, "digest signature"},

		{"nobody signed", attached, func(g *given) { g.m.Signers = nil }, "parse"},
		{"certificate removed", attached, func(g *given) { g.m.Certificates = []*pki.Certificate{id.Chain[1]} }, "signer"},
		{"all certificates removed", attached, func(g *given) { g.m.Certificates = nil }, "signer"},
		{"serial number", attached, func(g *given) { g.m.Signers[0].Serial = big.NewInt(1) }, "signer"},
		{"another certificate of the same key", attached, func(g *given) {
			g.m.Certificates[0], g.m.Signers[0].Serial = twin.Chain[0], twin.Chain[0].SerialNumber
			g.m.Certificates = append(g.m.Certificates[:1], id.Chain[1])
		}, "signer"},
		{"another certificate of the same key, not bound", loose, func(g *given) {
			g.m.Certificates, g.m.Signers[0].Serial = twin.Chain, twin.Chain[0].SerialNumber
		}, "usage"},
		{"another's certificate", loose, func(g *given) {
			other := issue(w, "seal-2", pki.Seal)
			g.m.Certificates, g.m.Signers[0].Serial = other.Chain, other.Chain[0].SerialNumber
		}, "signature"},
		{"certificate of an authority nobody trusts", loose, func(g *given) {
			other := issue(stranger, "seal-1", pki.Seal)
			g.m.Certificates = other.Chain
			g.m.Signers[0].Issuer, g.m.Signers[0].Serial = other.Chain[0].RawIssuer, other.Chain[0].SerialNumber
		}, "signature chain"},
		{"authority removed", attached, func(g *given) { g.m.Certificates = id.Chain[:1] }, "chain"},
		{"anchors of others", attached, func(g *given) { g.verifier.Chain = stranger.Trust().Chain }, "chain"},
		{"too early", attached, func(g *given) { g.at = certstest.Epoch.Add(-24 * time.Hour) }, "chain"},
		{"too late", attached, func(g *given) { g.at = certstest.Epoch.Add(3 * 365 * 24 * time.Hour) }, "chain"},
		{"usage", attached, func(g *given) { g.verifier.Usage = pki.License }, "usage"},
		{"usages of its own", attached, func(g *given) {
			g.verifier.Usages = func(*pki.Certificate) error { return errors.New("not this one") }
		}, "usage"},
		{"revoked", attached, func(g *given) {
			g.verifier.Revocation = func(context.Context, Evidence) (check.State, string) { return check.Failed, "revoked" }
		}, "revocation"},
		{"a voice that disagrees", attached, func(g *given) { g.verifier.VerifySM2 = disagrees }, "signature"},

		{"byte after the message", attached, func(g *given) {
			g.marshal = func(m *Message) ([]byte, error) { b, err := m.marshal(); return append(b, 0), err }
		}, "parse"},
		{"indefinite length", attached, func(g *given) {
			g.marshal = func(m *Message) ([]byte, error) { b, err := m.marshal(); b[1] = 0x80; return append(b, 0, 0), err }
		}, "parse"},
		{"another kind of message", attached, func(g *given) {
			g.marshal = func(m *Message) ([]byte, error) {
				b, err := m.marshal()
				envelope := bytes.Clone(b) // envelopedData is .3
				i := bytes.Index(b, []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55, 6, 1, 4, 2, 2})
				envelope[i+9] = 3
				return envelope, err
			}
		}, "parse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Now = func() time.Time { return certstest.Epoch.Add(time.Hour) }
			b, err := Sign(t.Context(), c.config, []byte("content"), id)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			g := &given{m: m, marshal: (*Message).marshal, verifier: Verifier{
				Chain: w.Trust().Chain, Usage: pki.Seal, Now: c.config.Now,
				Revocation: func(context.Context, Evidence) (check.State, string) { return check.OK, "" },
			}}
			if c.config.Detached {
				g.content = []byte("content")
			}
			// The signer's certificate first: sets are sorted when written.
			if !m.Certificates[0].Equal(id.Chain[0]) {
				m.Certificates[0], m.Certificates[1] = m.Certificates[1], m.Certificates[0]
			}
			c.alter(g)
			altered, err := g.marshal(g.m)
			if err != nil {
				t.Fatal(err)
			}
			r := g.verifier.Verify(t.Context(), altered, g.content, g.at)
			var got []string
			for _, s := range r.Steps {
				if s.State == check.Failed {
					got = append(got, strings.TrimPrefix(s.Name, "cms-"))
					if s.Reason == "" {
						t.Errorf("%s gives no reason", s.Name)
					}
				}
			}
			if strings.Join(got, " ") != c.fails {
				t.Errorf("failed %q, want %q\n%+v", got, c.fails, r.Steps)
			}
			if failed := len(got) > 0; failed && len(r.Signers) > 0 && strings.Contains("signer chain usage", c.fails) && r.Signers[0].Leaf.CommonName != "" {
				t.Errorf("a leaf is reported although %s failed", c.fails)
			}
		})
	}
}

func disagrees(*ecdsa.PublicKey, []byte, []byte) error { return sm.ErrBadSignature }

// A sloppy signer's order of attributes is judged as it was sent and signed.
func TestUnsortedAttributes(t *testing.T) {
	w := certstest.New(t, "cms")
	s, chain := w.Issue("seal-1", pki.Seal, "11990100000001010B", "示例市政务服务局")
	b, err := Sign(t.Context(), Config{}, []byte("content"), Identity{Signer: s, Chain: chain})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := Parse(b)
	g := &m.Signers[0]
	var parts [][]byte
	for _, a := range g.Signed {
		one, _ := marshalAttributes([]Attribute{a})
		parts = append([][]byte{one}, parts...)
	}
	g.attributes = bytes.Join(parts, nil)
	rs, err := s.Sign(t.Context(), tlv(tagSet, g.attributes))
	if err != nil {
		t.Fatal(err)
	}
	g.Signature, _ = sm.RawToDER(rs)
	altered, err := m.marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range new(Verifier).Verify(t.Context(), altered, nil, time.Time{}).Steps {
		if step.State == check.Failed {
			t.Errorf("%+v", step)
		}
	}
}

// The attribute signingCertificate may name issuer and serial number besides the hash; they are held to it.
func TestIssuerSerial(t *testing.T) {
	w := certstest.New(t, "cms")
	_, chain := w.Issue("seal-1", pki.Seal, "11990100000001010B", "示例市政务服务局")
	c := chain[0]
	hash := sha256.Sum256(c.Raw)
	serial, err := asn1.Marshal(c.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	attribute := func(issuer, serial []byte) []byte {
		names := tlv(0x30, tlv(0xa4, issuer))
		id := append(tlv(4, hash[:]), tlv(0x30, append(names, serial...))...)
		return tlv(0x30, tlv(0x30, tlv(0x30, id)))
	}
	if err := bound(attribute(c.RawIssuer, serial), c, sha256Algorithm); err != nil {
		t.Error(err)
	}
	if err := bound(attribute(c.RawSubject, serial), c, sha256Algorithm); !errors.Is(err, errOtherCertificate) {
		t.Errorf("another issuer: %v", err)
	}
	if err := bound(attribute(c.RawIssuer, []byte{2, 1, 1}), c, sha256Algorithm); !errors.Is(err, errOtherCertificate) {
		t.Errorf("another serial number: %v", err)
	}
	if err := bound([]byte{0x30, 0}, c, sha256Algorithm); !errors.Is(err, ErrMalformed) {
		t.Errorf("no certificate: %v", err)
	}
}

// Authorities of the right name and another key do not hide the one that is meant.
func TestDecoys(t *testing.T) {
	w := certstest.New(t, "cms")
	s, chain := w.Issue("seal-1", pki.Seal, "11990100000001010B", "示例市政务服务局")
	id := Identity{Signer: s, Chain: chain[:1:1]}
	for i := range 10 {
		decoy, err := w.Root.NewIntermediate(t.Context(), "示例市政务服务局", "示例市签发 CA", w.Signer("decoy-"+string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		id.Chain = append(id.Chain, decoy.Certificate())
	}
	id.Chain = append(id.Chain, chain[1])
	b, err := Sign(t.Context(), Config{Now: func() time.Time { return certstest.Epoch }}, []byte("content"), id)
	if err != nil {
		t.Fatal(err)
	}
	r := (&Verifier{Chain: w.Trust().Chain, Usage: pki.Seal}).Verify(t.Context(), b, nil, time.Time{})
	if r.Signers[0].Leaf.CommonName != "seal-1" {
		t.Errorf("%+v", r.Steps)
	}
}

const tagSet = der.Set
