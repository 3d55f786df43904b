package cms

import (
	"bytes"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
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

// covers checks that what was signed is about content.
func (s *Signer) covers(m *Message, content []byte) error {
	if len(s.Signed) == 0 {
		if !m.ContentType.Equal(GM.Data()) && !m.ContentType.Equal(RFC.Data()) { // some mix the dialects
			return errors.New("a content that is not plain octets needs signed attributes")
		}
		if looksSigned(content) {
			// Else the attributes of one message could be shown as the content of another, under the same signature.
			return errors.New("the content is a set of signed attributes taken from another message")
		}
		return nil
	}
	var kind asn1.ObjectIdentifier
	v, ok := s.attribute(oidContentType)
	if rest, err := asn1.Unmarshal(v, &kind); !ok || err != nil || len(rest) > 0 || !kind.Equal(m.ContentType) {
		return errors.New("the signed attributes are about another type of content")
	}
	h, err := NewHash(s.DigestAlgorithm)
	if err != nil {
		return err
	}
	h.Write(content)
	var digest []byte
	v, ok = s.attribute(oidMessageDigest)
	if rest, err := asn1.Unmarshal(v, &digest); !ok || err != nil || len(rest) > 0 || subtle.ConstantTimeCompare(digest, h.Sum(nil)) != 1 {
		return errors.New("the content is not the one that was signed")
	}
	return nil
}

// looksSigned tells whether content is a DER SET of attributes with a message digest.
func looksSigned(content []byte) bool {
	var set asn1.RawValue
	if rest, err := asn1.Unmarshal(content, &set); err != nil || len(rest) > 0 || content[0] != tagSet {
		return false
	}
	list, err := readAttributes(set.Bytes)
	if err != nil {
		return false
	}
	_, ok := (&Signer{Signed: list}).attribute(oidMessageDigest)
	return ok
}
