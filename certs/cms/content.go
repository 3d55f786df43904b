package cms

import (
	"bytes"
	"crypto/subtle"
	"encoding/asn1"
	"errors"

	"oncegate/certs/der"
	"oncegate/certs/sm"
)

// whole says whether there is exactly one content to judge.
func (m *Message) whole(content []byte) error {
	switch {
	case m.Detached && content == nil:
		return errors.New("the message has no content inside, and none was given")
	case !m.Detached && content != nil && !bytes.Equal(m.Content, content):
		return errors.New("the content inside is not the content given")
	}
	return nil
}

// covers checks that what was signed is about the content.
func (j *judgement) covers() error {
	s := j.s
	if len(s.Signed) == 0 {
		if !isData(j.m.ContentType) {
			return errors.New("a content that is not plain octets needs signed attributes")
		}
		if looksSigned(j.content) {
			return errAttributes
		}
		return nil
	}
	var kind asn1.ObjectIdentifier
	v, ok := s.attribute(oidContentType)
	if rest, err := asn1.Unmarshal(v, &kind); !ok || err != nil || len(rest) > 0 || !kind.Equal(j.m.ContentType) && !(isData(kind) && isData(j.m.ContentType)) {
		return errors.New("the signed attributes are about another type of content")
	}
	want, err := j.digest(s.DigestAlgorithm)
	if err != nil {
		return err
	}
	var digest []byte
	v, ok = s.attribute(oidMessageDigest)
	if rest, err := asn1.Unmarshal(v, &digest); !ok || err != nil || len(rest) > 0 {
		return errContent
	}
	ofContent := subtle.ConstantTimeCompare(digest, want) == 1
	known := j.m.Detached && s.DigestAlgorithm.Equal(SM3) && len(j.Digest) == sm.DigestSize && subtle.ConstantTimeCompare(digest, j.Digest) == 1
	if !ofContent && !known {
		return errContent
	}
	return nil
}

var (
	errContent = errors.New("the content is not the one that was signed")
	// errAttributes: else the attributes of one message could be shown as the content of another, under the same signature, and
	// the content of one as the attributes of another.
	errAttributes = errors.New("the content is a set of signed attributes, which is never signed without attributes of its own")
)

// isData tells whether a content type means plain octets. The two families name it differently, and some mix them: software in
// use writes one beside the attribute contentType of the other.
func isData(kind asn1.ObjectIdentifier) bool { return kind.Equal(GM.Data()) || kind.Equal(RFC.Data()) }

// A contentDigests holds the digests of one content, each made once however many signers name it.
type contentDigests struct {
	content []byte
	known   map[string][]byte
}

func (d *contentDigests) digest(of asn1.ObjectIdentifier) ([]byte, error) {
	if sum, ok := d.known[of.String()]; ok {
		return sum, nil
	}
	h, err := NewHash(of)
	if err != nil {
		return nil, err
	}
	h.Write(d.content)
	sum := h.Sum(nil)
	if d.known == nil {
		d.known = make(map[string][]byte)
	}
	d.known[of.String()] = sum
	return sum, nil
}

// looksSigned tells whether content is a SET that begins with an Attribute: what a signature covers when there are signed
// attributes (RFC 5652 section 5.4). Whether it is a set that we would read does not matter, because others may.
func looksSigned(content []byte) bool {
	in := der.Read(content, ErrMalformed)
	set := in.Set("attributes")
	in.End("attributes")
	attribute := set.Sequence("attributes")
	attribute.Content(der.OID, "attributes")
	return in.Err() == nil
}
