package pkcs12

import (
	"encoding/asn1"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

var (
	oidData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncrypted = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKey       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShrouded  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCert      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}

	tag0         = tag.Tag(0).ContextSpecific()
	tag0Explicit = tag0.Constructed()
)

// reader is what was read so far, and the work that may still be done.
type reader struct {
	password string
	budget   int // iterations of key derivation
	keys     []*sm.PrivateKey
	certs    []*pki.Certificate
}

// file reads PFX: the MAC first, then what it protects.
func (r *reader) file(data cryptobyte.String) error {
	var pfx, safe cryptobyte.String
	var version int
	if !data.ReadASN1(&pfx, tag.SEQUENCE) || !pfx.ReadASN1Integer(&version) || version != 3 {
		return malformed("it is of another version")
	}
	kind, content, ok := readContent(&pfx)
	if !ok || !kind.Equal(oidData) || !content.ReadASN1(&safe, tag.OCTET_STRING) || !content.Empty() {
		return malformed("it is not protected by a password")
	}
	if err := r.checkMAC(pfx, safe); err != nil {
		return err
	}
	var contents cryptobyte.String
	if !safe.ReadASN1(&contents, tag.SEQUENCE) || !safe.Empty() {
		return malformed("its contents")
	}
	for !contents.Empty() {
		if err := r.content(&contents); err != nil {
			return err
		}
	}
	return nil
}

// readContent reads ContentInfo.
func readContent(s *cryptobyte.String) (kind asn1.ObjectIdentifier, content cryptobyte.String, ok bool) {
	var info cryptobyte.String
	ok = s.ReadASN1(&info, tag.SEQUENCE) && info.ReadASN1ObjectIdentifier(&kind) &&
		info.ReadASN1(&content, tag0Explicit) && info.Empty()
	return kind, content, ok
}

// content reads one of the contents: bags, as they are or encrypted.
func (r *reader) content(s *cryptobyte.String) error {
	kind, content, ok := readContent(s)
	var bags cryptobyte.String
	switch {
	case !ok:
		return malformed("its contents")
	case kind.Equal(oidData):
		if !content.ReadASN1(&bags, tag.OCTET_STRING) || !content.Empty() {
			return malformed("its contents")
		}
	case kind.Equal(oidEncrypted):
		var data, info, algorithm, encrypted cryptobyte.String
		var version int
		if !content.ReadASN1(&data, tag.SEQUENCE) || !content.Empty() || !data.ReadASN1Integer(&version) ||
			!data.ReadASN1(&info, tag.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidData) ||
			!info.ReadASN1Element(&algorithm, tag.SEQUENCE) || !info.ReadASN1(&encrypted, tag0) || !info.Empty() {
			return malformed("its encrypted contents")
		}
		if isRC2(algorithm) {
			return nil
		}
		clear, err := r.decrypt(algorithm, encrypted)
		if err != nil {
			return err
		}
		bags = clear
	default:
		return fmt.Errorf("%w: encrypted to a certificate", ErrUnsupported)
	}
	var list cryptobyte.String
	if !bags.ReadASN1(&list, tag.SEQUENCE) || !bags.Empty() {
		return malformed("its bags")
	}
	for !list.Empty() {
		if err := r.bag(&list); err != nil {
			return err
		}
	}
	return nil
}

// bag reads one SafeBag. Bags of other kinds, such as lists and secrets, are passed over.
func (r *reader) bag(s *cryptobyte.String) error {
	var bag, value cryptobyte.String
	var kind asn1.ObjectIdentifier
	if !s.ReadASN1(&bag, tag.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&kind) || !bag.ReadASN1(&value, tag0Explicit) {
		return malformed("a bag")
	}
	switch {
	case kind.Equal(oidKey):
		return r.key(value)
	case kind.Equal(oidShrouded):
		var info, algorithm, encrypted cryptobyte.String
		if !value.ReadASN1(&info, tag.SEQUENCE) || !info.ReadASN1Element(&algorithm, tag.SEQUENCE) ||
			!info.ReadASN1(&encrypted, tag.OCTET_STRING) || !info.Empty() {
			return malformed("an encrypted key")
		}
		clear, err := r.decrypt(algorithm, encrypted)
		if err != nil {
			return err
		}
		return r.key(clear)
	case kind.Equal(oidCert):
		return r.certificate(value)
	}
	return nil
}

// key reads PKCS#8. A key of another algorithm is passed over: certificates of several may stand together.
func (r *reader) key(pkcs8 []byte) error {
	key, err := smx509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return malformed("a key")
	}
	priv, ok := key.(*sm2.PrivateKey)
	if !ok || priv == nil {
		return nil
	}
	if len(r.keys) == maxKeys {
		return malformed("more than %d keys", maxKeys)
	}
	checked, err := sm.ParsePrivateKey(sm.PrivateBytes(priv))
	if err != nil {
		return malformed("a key")
	}
	r.keys = append(r.keys, checked)
	return nil
}

func (r *reader) certificate(value cryptobyte.String) error {
	var bag, wrapped, raw cryptobyte.String
	var kind asn1.ObjectIdentifier
	if !value.ReadASN1(&bag, tag.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidX509) ||
		!bag.ReadASN1(&wrapped, tag0Explicit) || !wrapped.ReadASN1(&raw, tag.OCTET_STRING) || !wrapped.Empty() {
		return malformed("a certificate")
	}
	c, err := pki.Parse(raw)
	if err != nil || len(r.certs) == maxCertificates {
		return malformed("a certificate, or more than %d", maxCertificates)
	}
	r.certs = append(r.certs, c)
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
