package revocation

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// Limits. Our questions are about one certificate, and a nonce has 1 to 32 octets (RFC 8954), or up to 128 (RFC 9654). An answer about one
// certificate takes about 1 KB, with the responder's own certificate.
const (
	maxNonce      = 128
	nonceLength   = 32
	maxResponse   = 64 << 10
	maxAnswers    = 64
	maxResponders = 8 // certificates in an answer
)

var (
	oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
)

// A Hash names certificates in questions to responders. It protects nothing; both sides must know it.
type Hash string

// Hashes. Responders outside China mostly know SHA-1 only (RFC 5019 section 2.1.1), those of licensed authorities SM3.
const (
	SM3    Hash = "sm3"
	SHA1   Hash = "sha1"
	SHA256 Hash = "sha256"
)

var hashes = map[Hash]struct {
	oid asn1.ObjectIdentifier
	sum func([]byte) []byte
}{
	SM3:    {asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401}, func(b []byte) []byte { d := sm.Digest(b); return d[:] }},
	SHA1:   {asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, func(b []byte) []byte { d := sha1.Sum(b); return d[:] }},
	SHA256: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, func(b []byte) []byte { d := sha256.Sum256(b); return d[:] }},
}

// CertID names a certificate by its issuer and serial number, RFC 6960 section 4.1.1.
type CertID struct {
	Algorithm pkix.AlgorithmIdentifier
	NameHash  []byte // of the issuer's name, DER
	KeyHash   []byte // of the issuer's key, the BIT STRING's content
	Serial    *big.Int
}

// NewCertID names the certificate of a serial number that issuer gave.
func NewCertID(issuer *pki.Certificate, serial *big.Int, h Hash) (CertID, error) {
	hash, ok := hashes[h]
	key := keyBits(issuer)
	if !ok || key == nil || serial == nil {
		return CertID{}, malformed("hash %q, or the issuer's key", h)
	}
	return CertID{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: hash.oid, Parameters: asn1.NullRawValue},
		NameHash:  hash.sum(issuer.RawSubject), KeyHash: hash.sum(key), Serial: serial,
	}, nil
}

// allHashes are those that are known.
var allHashes = [...]Hash{SM3, SHA1, SHA256}

// hash is the hash of the id; empty if it is not known.
func (id CertID) hash() Hash {
	for _, name := range allHashes {
		if id.Algorithm.Algorithm.Equal(hashes[name].oid) {
			return name
		}
	}
	return ""
}

// equal tells whether two ids, made with the same hash, name one certificate.
func (id CertID) equal(other CertID) bool {
	return id.Serial != nil && other.Serial != nil && id.Serial.Cmp(other.Serial) == 0 &&
		bytes.Equal(id.NameHash, other.NameHash) && bytes.Equal(id.KeyHash, other.KeyHash)
}

// keyBits is the content of subjectPublicKey; nil if it cannot be read.
func keyBits(c *pki.Certificate) []byte {
	in := der.Read(c.RawSubjectPublicKeyInfo, ErrMalformed)
	body := in.Sequence(errForm)
	body.Content(der.Sequence, errForm)
	return body.Bits(errForm)
}

// A Request asks a responder about certificates, RFC 6960 section 4.1.
type Request struct {
	IDs   []CertID
	Nonce []byte // empty: none
}

// Marshal writes a request as DER.
func (r Request) Marshal() ([]byte, error) {
	type singleRequest struct{ ID CertID }
	var out struct {
		TBS struct {
			List       []singleRequest
			Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
		}
	}
	for _, id := range r.IDs {
		out.TBS.List = append(out.TBS.List, singleRequest{id})
	}
	if len(r.Nonce) > 0 {
		value, err := asn1.Marshal(r.Nonce)
		if err != nil {
			return nil, err
		}
		out.TBS.Extensions = []pkix.Extension{{Id: oidNonce, Value: value}}
	}
	return asn1.Marshal(out)
}

// A Response is what a responder signed, RFC 6960 section 4.2; [Response.Verify] says whether to trust it.
type Response struct {
	Raw       []byte // BasicOCSPResponse, DER
	Produced  time.Time
	Nonce     []byte // empty: none
	tbs       []byte // what was signed
	responder responderID
	answers   []answer
	sm2       bool // is signed with SM2 and SM3
	signature []byte
	certs     []*pki.Certificate
}

// ErrorStatus is a responder's refusal (OCSPResponseStatus), RFC 6960 section 4.2.1.
type ErrorStatus int

// Refusals.
const (
	MalformedRequest ErrorStatus = 1
	InternalError    ErrorStatus = 2
	TryLater         ErrorStatus = 3
	SigRequired      ErrorStatus = 5
	Unauthorized     ErrorStatus = 6
)

func (s ErrorStatus) Error() string {
	name, ok := map[ErrorStatus]string{
		MalformedRequest: "malformedRequest", InternalError: "internalError", TryLater: "tryLater",
		SigRequired: "sigRequired", Unauthorized: "unauthorized",
	}[s]
	if !ok {
		name = fmt.Sprintf("status %d", int(s))
	}
	return "the responder refused: " + name
}

// Unwrap makes every refusal an ErrUnavailable.
func (s ErrorStatus) Unwrap() error { return ErrUnavailable }

// responderID is who signed: a subject's DER under tag [1], or under [2] SHA-1 over a key.
type responderID struct {
	tag   der.Tag
	value []byte
}

// An answer is the status of one certificate (SingleResponse).
type answer struct {
	id         CertID
	state      State
	revoked    time.Time // when; only when state is Revoked
	reason     pki.Reason
	this, next time.Time // next is zero when the responder names none
}

// ParseResponse reads an OCSPResponse as it comes over HTTP. A refusal is an [ErrorStatus].
func ParseResponse(raw []byte) (*Response, error) {
	in, err := readOnly(raw)
	if err != nil {
		return nil, err
	}
	response := in.Sequence(errForm)
	status := response.Enum(errForm)
	explicit, present := response.Optional(der.Explicit(0), errForm)
	response.End(errForm)
	if present {
		body := explicit.Sequence(errForm)
		explicit.End(errForm)
		kind := body.OID(errForm)
		basic := body.Octets(errForm)
		body.End(errForm)
		switch {
		case in.Err() != nil || status != 0:
		case !kind.Equal(oidBasic):
			in.Fail(errKind)
		default:
			return ParseBasic(basic)
		}
	}
	switch {
	case in.Err() != nil:
		return nil, in.Err()
	case status != 0:
		return nil, ErrorStatus(status)
	}
	return nil, malformed(errKind)
}

const (
	errForm = "it is no DER of the right form"
	errKind = "the answer is of a type that is not known"
)

// readOnly opens an answer, which is strict DER: evidence is compared as bytes.
func readOnly(raw []byte) (der.Cursor, error) {
	if len(raw) > maxResponse {
		return der.Cursor{}, malformed("the answer is larger than %d bytes", maxResponse)
	}
	if der.Check(raw) != nil {
		return der.Cursor{}, malformed("it is not the only DER of its kind")
	}
	return der.Read(raw, ErrMalformed), nil
}

// ParseBasic reads a BasicOCSPResponse, as it is kept in [Evidence].
func ParseBasic(raw []byte) (*Response, error) {
	in, err := readOnly(raw)
	if err != nil {
		return nil, err
	}
	r := &Response{Raw: raw}
	body := in.Sequence(errForm)
	r.tbs = body.Element(der.Sequence, errForm)
	r.sm2 = readAlgorithm(&body).Equal(oidSM2SM3)
	signature := body.BitString(errForm)
	r.signature, r.sm2 = signature.Bytes, r.sm2 && signature.BitLength == 8*len(signature.Bytes)
	explicit, present := body.Optional(der.Explicit(0), errForm)
	body.End(errForm)
	tbs := in.In(r.tbs)
	r.readData(&tbs)
	if present {
		certs := explicit.Sequence(errForm)
		explicit.End(errForm)
		r.readCertificates(&certs)
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// readData reads ResponseData. A version that is written is not the first one, which DER leaves out.
func (r *Response) readData(tbs *der.Cursor) {
	const outside = "the answer is of another version, or says nothing, or too much"
	data := tbs.Sequence(errForm)
	if data.Is(der.Explicit(0)) {
		data.Fail(outside)
	}
	r.responder.tag, r.responder.value = data.Any(errForm)
	r.Produced = data.GeneralizedTime(errForm)
	for answers := data.Sequence(errForm); !answers.Empty(); {
		if len(r.answers) == maxAnswers {
			answers.Fail(outside)
		}
		r.answers = append(r.answers, readAnswer(&answers))
	}
	if len(r.answers) == 0 {
		data.Fail(outside)
	}
	r.Nonce = readExtensions(&data, true)
	data.End(errForm)
}

func (r *Response) readCertificates(in *der.Cursor) {
	for !in.Empty() {
		if len(r.certs) == maxResponders {
			in.Fail("the answer is of another version, or says nothing, or too much")
		}
		_, raw := in.AnyElement(errForm)
		if in.Err() != nil {
			return
		}
		c, err := pki.Parse(raw)
		if err != nil {
			in.Fail("a certificate in the answer")
		}
		r.certs = append(r.certs, c)
	}
}

// readAnswer reads SingleResponse.
func readAnswer(in *der.Cursor) (a answer) {
	const contradicts = "an answer says nothing, or two things, or ends before it begins"
	single := in.Sequence(errForm)
	id := single.Sequence(errForm)
	a.id.Algorithm.Algorithm = readAlgorithm(&id)
	a.id.NameHash, a.id.KeyHash, a.id.Serial = id.Octets(errForm), id.Octets(errForm), id.BigInt(errForm)
	id.End(errForm)
	switch tag, status := single.Any(contradicts); tag {
	case der.Context(0), der.Context(2):
		if a.state = Good; tag == der.Context(2) {
			a.state = Unknown
		}
		if len(status) > 0 {
			single.Fail(contradicts)
		}
	case der.Explicit(1):
		a.state = Revoked
		info := single.In(status)
		a.revoked = info.GeneralizedTime(errForm)
		if reason, given := info.Optional(der.Explicit(0), errForm); given {
			a.reason = pki.Reason(reason.Enum(errForm))
			reason.End(errForm)
		}
		if info.End(errForm); a.revoked.IsZero() {
			single.Fail(contradicts)
		}
	default:
		single.Fail(contradicts)
	}
	a.this = single.GeneralizedTime(errForm)
	if next, given := single.Optional(der.Explicit(0), errForm); given {
		a.next = next.GeneralizedTime(errForm)
		if next.End(errForm); a.next.Before(a.this) {
			single.Fail(contradicts)
		}
	}
	readExtensions(&single, false)
	single.End(errForm)
	return a
}

// readAlgorithm reads an AlgorithmIdentifier with any parameters.
func readAlgorithm(in *der.Cursor) asn1.ObjectIdentifier {
	algorithm := in.Sequence(errForm)
	id := algorithm.OID(errForm)
	if !algorithm.Empty() {
		algorithm.Any(errForm)
	}
	algorithm.End(errForm)
	return id
}

// readExtensions reads [1] EXPLICIT Extensions if they are there, and refuses critical ones but a nonce where one may be. It returns the
// nonce: an OCTET STRING inside the extension's own. Old servers leave the inner one out.
func readExtensions(in *der.Cursor, nonceAllowed bool) (nonce []byte) {
	explicit, present := in.Optional(der.Explicit(1), errForm)
	if !present {
		return nil
	}
	list := explicit.Sequence(errForm)
	explicit.End(errForm)
	for n := 0; !list.Empty(); n++ {
		if n == maxExtensions {
			list.Fail("too many extensions")
		}
		e := list.Sequence(errForm)
		id := e.OID(errForm)
		critical, written := e.Bool(errForm)
		value := e.Octets(errForm)
		e.End(errForm)
		isNonce := nonceAllowed && id.Equal(oidNonce)
		switch {
		case written && !critical: // DER writes no default
			e.Fail(errForm)
		case critical && !isNonce:
			e.Fail(errCritical)
		case isNonce && nonce != nil:
			e.Fail("two nonces")
		case isNonce && e.Err() == nil:
			inner := der.Read(value, ErrMalformed)
			nonce = inner.Octets(errForm)
			if inner.End(errForm); inner.Err() != nil {
				nonce = value
			}
			if len(nonce) == 0 || len(nonce) > maxNonce {
				e.Fail(fmt.Sprintf("a nonce of %d bytes", len(nonce)))
			}
		}
	}
	return nonce
}

// wrapBasic puts a BasicOCSPResponse into a successful OCSPResponse.
func wrapBasic(basic []byte) ([]byte, error) {
	type responseBytes struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	}
	return asn1.Marshal(struct {
		Status asn1.Enumerated
		Bytes  responseBytes `asn1:"explicit,tag:0"`
	}{Bytes: responseBytes{oidBasic, basic}})
}
