package verdict

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/certs/der"
	"oncegate/certs/jws"
	lognote "oncegate/certs/note"
	"oncegate/certs/statuslist"
	"oncegate/certs/token"
)

// MaxArtefact is the length in bytes of the largest artefact that is verified.
const MaxArtefact = 16 << 20

// An Artefact is something to verify, under the name that its result is reported by.
type Artefact struct {
	Name string
	Data []byte
}

// Kind says what an artefact is.
type Kind string

// What is verified. Detection goes by content alone, but that a call's body may be any bytes.
const (
	License     Kind = "license"     // SD-JWT with all, some or no disclosures
	Answer      Kind = "answer"      // {answer, receipt}
	Report      Kind = "report"      // answers to audit.export, one a line: the pages of one report
	Refusal     Kind = "problem"     // a problem document with its receipt
	Receipt     Kind = "receipt"     //
	Checkpoint  Kind = "checkpoint"  // C2SP tlog-checkpoint
	Call        Kind = "call"        // the token of a signed call
	Body        Kind = "body"        // the body of a signed call
	Certificate Kind = "certificate" // PEM, one or a chain
	Key         Kind = "key"         // SPKI PEM or C2SP vkey line
	StatusList  Kind = "status-list" // status list token

	Document      Kind = "ofd"             // OFD package, GB/T 33190
	SignedMessage Kind = "cms"             // SignedData, GB/T 35275 or RFC 5652, DER or PEM
	Seal          Kind = "seal"            // SESeal alone, GB/T 38540: Seal.esl
	SealSignature Kind = "seal-signature"  // SES_Signature alone, GB/T 38540: SignedValue.dat
	TimeStamp     Kind = "time-stamp"      // token or reply, RFC 3161
	Revocations   Kind = "revocation-list" // CRL, PEM or DER
	OCSPAnswer    Kind = "ocsp-answer"     // OCSPResponse
	Picture       Kind = "picture"         // PDF, PNG or SVG, which carries no signature
	Content       Kind = "content"         // what another artefact signs, stamps or was made of
	Unknown       Kind = "unknown"         //
)

// KindOf says what an artefact claims to be. It verifies nothing.
func KindOf(data []byte) Kind { return kindOf(data) }

// kindOf looks at an artefact. JSON of no other kind is taken for a body.
func kindOf(data []byte) Kind {
	text := bytes.TrimSpace(data)
	switch {
	case len(data) > MaxArtefact:
		return Unknown
	case bytes.HasPrefix(data, []byte("PK\x03\x04")) || bytes.HasPrefix(data, []byte("PK\x05\x06")):
		return Document
	case kindOfDER(data) != Unknown:
		return kindOfDER(data)
	case isPicture(data):
		return Picture
	case bytes.HasPrefix(text, []byte("-----BEGIN X509 CRL-----")):
		return Revocations
	case bytes.HasPrefix(text, []byte("-----BEGIN PKCS7-----")) || bytes.HasPrefix(text, []byte("-----BEGIN CMS-----")):
		return SignedMessage
	case bytes.HasPrefix(text, []byte("-----BEGIN CERTIFICATE-----")):
		return Certificate
	case bytes.HasPrefix(text, []byte("-----BEGIN PUBLIC KEY-----")):
		return Key
	case IsReport(text):
		return Report
	case bytes.HasPrefix(text, []byte("{")):
		return kindOfJSON(text)
	case bytes.Contains(data, []byte("\n\n\u2014 ")):
		return Checkpoint
	}
	if _, err := lognote.WitnessNoteVerifiers(string(text)); err == nil { // a log's key, or a witness's
		return Key
	}
	return kindOfJWS(string(text))
}

func kindOfJSON(text []byte) Kind {
	var members map[string]jsontext.Value
	if json.Unmarshal(text, &members, canonical.Checked) != nil { // what it is then held to refuses them
		if bytes.HasPrefix(text, []byte(`{"answer":`)) {
			return Answer // cut off or damaged, and its first step says so
		}
		return Body
	}
	has := func(name string) bool { return members[name] != nil }
	switch {
	case has("answer"):
		return Answer // without a receipt nothing proves it
	case has("code") && has("receipt"):
		return Refusal
	case has("record") && has("proofs") && has("checkpoint"):
		return Receipt
	}
	return Body
}

func kindOfJWS(text string) Kind {
	compact, _, sd := strings.Cut(text, "~")
	parts, err := jws.Split(compact, MaxArtefact)
	switch {
	case err != nil && sd && strings.Count(compact, ".") == 2:
		return License // a broken one: its first step says so
	case err != nil && strings.Count(text, ".") == 2 && !strings.ContainsAny(text, " \n\t{"):
		return Call
	case err != nil:
		return Unknown
	case parts.Header.Typ == token.Type:
		return Call
	case parts.Header.Typ == statuslist.Type:
		return StatusList
	case parts.Header.Typ == LicenseType:
		return License
	}
	return Unknown
}

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

// Parts are an artefact's own parts: the lists of a PEM file that has several, as an authority publishes its own and that of
// the authority above it in one; else the artefact itself.
func (a Artefact) Parts() []Artefact {
	blocks, err := der.Blocks(a.Data)
	if err != nil || len(blocks) < 2 || slices.ContainsFunc(blocks, func(b *pem.Block) bool { return b.Type != blocks[0].Type }) {
		return []Artefact{a}
	}
	var out []Artefact
	for _, block := range blocks {
		out = append(out, Artefact{a.Name, pem.EncodeToMemory(block)})
	}
	return out
}
