package pkcs12

import (
	"encoding/asn1"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/der"
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
)

// reader is what was read so far, and the work that may still be done.
type reader struct {
	password string
	budget   int // iterations of key derivation
	keys     []*sm.PrivateKey
	certs    []*pki.Certificate
}

// file reads PFX: the MAC first, then what it protects.
func (r *reader) file(data []byte) error {
	in := der.Read(data, ErrMalformed)
	pfx := in.Sequence("it is of another version")
	if pfx.Int("it is of another version") != 3 {
		pfx.Fail("it is of another version")
	}
	const open = "it is not protected by a password"
	kind, content := readContent(&pfx, open)
	if in.Err() == nil && !kind.Equal(oidData) {
		pfx.Fail(open)
	}
	safe := content.Octets(open)
	content.End(open)
	if err := in.Err(); err != nil {
		return err
	}
	if err := r.checkMAC(&pfx, safe); err != nil {
		return err
	}
	whole := in.In(safe)
	contents := whole.Sequence("its contents")
	whole.End("its contents")
	for !contents.Empty() {
		contents.FailWith(r.content(&contents))
	}
	return in.Err()
}

// readContent reads ContentInfo.
func readContent(in *der.Cursor, what string) (kind asn1.ObjectIdentifier, content der.Cursor) {
	info := in.Sequence(what)
	kind = info.OID(what)
	content = info.Into(der.Explicit(0), what)
	info.End(what)
	return kind, content
}

// content reads one of the contents: bags, as they are or encrypted.
func (r *reader) content(in *der.Cursor) error {
	kind, content := readContent(in, "its contents")
	var bags []byte
	switch {
	case in.Err() != nil:
		return in.Err()
	case kind.Equal(oidData):
		bags = content.Octets("its contents")
		content.End("its contents")
	case kind.Equal(oidEncrypted):
		const member = "its encrypted contents"
		data := content.Sequence(member)
		content.End(member)
		data.Int(member)
		info := data.Sequence(member)
		if !info.OID(member).Equal(oidData) {
			info.Fail(member)
		}
		algorithm := info.Element(der.Sequence, member)
		encrypted := info.Content(der.Context(0), member)
		info.End(member)
		if in.Err() != nil || isRC2(algorithm) {
			return in.Err()
		}
		clear, err := r.decrypt(algorithm, encrypted)
		if err != nil {
			return err
		}
		bags = clear
	default:
		return fmt.Errorf("%w: encrypted to a certificate", ErrUnsupported)
	}
	whole := in.In(bags)
	list := whole.Sequence("its bags")
	whole.End("its bags")
	for !list.Empty() {
		list.FailWith(r.bag(&list))
	}
	return in.Err()
}

// bag reads one SafeBag. Bags of other kinds, such as lists and secrets, are passed over.
func (r *reader) bag(in *der.Cursor) error {
	bag := in.Sequence("a bag")
	kind := bag.OID("a bag")
	value := bag.Into(der.Explicit(0), "a bag")
	switch {
	case in.Err() != nil:
		return in.Err()
	case kind.Equal(oidKey):
		return r.key(value.Rest())
	case kind.Equal(oidShrouded):
		info := value.Sequence("an encrypted key")
		algorithm := info.Element(der.Sequence, "an encrypted key")
		encrypted := info.Octets("an encrypted key")
		info.End("an encrypted key")
		if in.Err() != nil {
			return in.Err()
		}
		clear, err := r.decrypt(algorithm, encrypted)
		if err != nil {
			return err
		}
		return r.key(clear)
	case kind.Equal(oidCert):
		return r.certificate(&value)
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

func (r *reader) certificate(value *der.Cursor) error {
	bag := value.Sequence("a certificate")
	if !bag.OID("a certificate").Equal(oidX509) {
		bag.Fail("a certificate")
	}
	wrapped := bag.Into(der.Explicit(0), "a certificate")
	raw := wrapped.Octets("a certificate")
	wrapped.End("a certificate")
	if err := value.Err(); err != nil {
		return err
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
