package client

import (
	"bytes"

	"oncegate/certs/der"
)

// Tags of DER that tell artefacts apart.
const (
	tagInteger  = 0x02
	tagOID      = 0x06
	tagEnum     = 0x0a
	tagIA5      = 0x16
	tagSequence = 0x30
	tagVersion  = 0xa0
)

// Contents of the object identifiers that tell signed messages apart.
var (
	gmSignedData  = []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x06, 0x01, 0x04, 0x02, 0x02}               // 1.2.156.10197.6.1.4.2.2
	rfcSignedData = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}                     // 1.2.840.113549.1.7.2
	tstInfo       = []byte{tagOID, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 1, 4} // 1.2.840.113549.1.9.16.1.4
)

// kindOfDER looks at the first tags of a structure. What it is then held to, its parser says.
func kindOfDER(data []byte) Kind {
	tag, body, _ := element(data)
	if tag != tagSequence {
		return Unknown
	}
	switch tag, first, _ := element(body); tag {
	case tagOID:
		return kindOfMessage(first, body)
	case tagEnum:
		return OCSPAnswer
	case tagSequence:
		return kindOfSigned(first)
	}
	return Unknown
}

// kindOfMessage tells the messages of ContentInfo apart.
func kindOfMessage(contentType, body []byte) Kind {
	switch {
	case !bytes.Equal(contentType, gmSignedData) && !bytes.Equal(contentType, rfcSignedData):
		return Unknown
	case bytes.Contains(body[:min(len(body), 256)], tstInfo): // the type of what is signed stands close to the front
		return TimeStamp
	}
	return SignedMessage
}

// kindOfSigned tells structures apart by the beginning of their first member.
func kindOfSigned(first []byte) Kind {
	tag, value, rest := element(first)
	switch tag {
	case tagVersion:
		return Certificate
	case tagSequence: // SES_Header of a seal
		if tag, id, _ := element(value); tag == tagIA5 && string(id) == "ES" {
			return Seal
		}
	case tagInteger:
		tag, second, _ := element(rest)
		inner, _, _ := element(second)
		switch {
		case tag == tagSequence && inner == tagOID: // version, algorithm
			return Revocations
		case tag == tagSequence && inner == tagSequence: // version, seal
			return SealSignature
		case len(value) == 1: // PKIStatusInfo
			return TimeStamp
		}
	}
	return Unknown
}

// element takes the first value of b apart, as much of it as is there: that lengths are true is the parsers' business.
func element(b []byte) (tag byte, content, rest []byte) {
	if len(b) < 2 {
		return 0, nil, nil
	}
	n, head := int(b[1]), 2
	if n >= 0x80 {
		head += n & 0x7f
		if n > 0x84 || n == 0x80 || len(b) < head {
			return b[0], b[min(head, len(b)):], nil
		}
		n = 0
		for _, octet := range b[2:head] {
			n = n<<8 | int(octet)
		}
	}
	body := b[head:]
	if n < 0 || n > len(body) {
		n = len(body)
	}
	return b[0], body[:n], body[n:]
}

// derOf is the DER of an artefact that may be PEM.
func derOf(data []byte) []byte {
	if text := bytes.TrimSpace(data); bytes.HasPrefix(text, []byte("-----BEGIN")) {
		if blocks, err := der.Blocks(text); err == nil && len(blocks) == 1 {
			return blocks[0].Bytes
		}
	}
	return data
}
