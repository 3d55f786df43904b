package client

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
	if json.Unmarshal(text, &members) != nil {
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
