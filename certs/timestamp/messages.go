package timestamp

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"oncegate/certs/der"
)

// A Request is TimeStampReq, RFC 3161 section 2.4.1.
type Request struct {
	Imprint      Imprint
	Policy       asn1.ObjectIdentifier // nil: the authority's choice
	Nonce        *big.Int              // nil: none; then only clocks tell a replay
	Certificates bool                  // certReq: the token shall hold the authority's certificates
}

// Marshal returns the request in DER.
func (r Request) Marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		r.Imprint.add(b)
		if r.Policy != nil {
			b.AddASN1ObjectIdentifier(r.Policy)
		}
		if r.Nonce != nil {
			b.AddASN1BigInt(r.Nonce)
		}
		if r.Certificates {
			b.AddASN1Boolean(true)
		}
	})
	return b.Bytes()
}

// Failure is a bit of PKIFailureInfo, RFC 3161 section 2.4.2.
type Failure int

// Why an authority refuses.
const (
	BadAlgorithm         Failure = 0  // the imprint's algorithm is unknown or too weak
	BadRequest           Failure = 2  // not permitted or not supported
	BadDataFormat        Failure = 5  // cannot be read
	TimeNotAvailable     Failure = 14 // the authority has no time it trusts
	UnacceptedPolicy     Failure = 15
	UnacceptedExtension  Failure = 16
	AddInfoNotAvailable  Failure = 17
	SystemFailure        Failure = 25
	unstated             Failure = -1 // a refusal that does not say why
	maxFailure                   = 31
	statusGranted                = 0
	statusGrantedChanged         = 1 // grantedWithMods
	statusRejection              = 2
	statusRevocation             = 5 // the highest
)

var failureNames = map[Failure]string{
	BadAlgorithm: "badAlg", BadRequest: "badRequest", BadDataFormat: "badDataFormat", TimeNotAvailable: "timeNotAvailable",
	UnacceptedPolicy: "unacceptedPolicy", UnacceptedExtension: "unacceptedExtension", AddInfoNotAvailable: "addInfoNotAvailable",
	SystemFailure: "systemFailure", unstated: "no reason given",
}

func (f Failure) String() string {
	if s, ok := failureNames[f]; ok {
		return s
	}
	return fmt.Sprintf("failure %d", int(f))
}

// temporary tells whether asking again later may help.
func (f Failure) temporary() bool { return f == TimeNotAvailable || f == SystemFailure }

// A Refusal is an authority's answer without a token. It is an error.
type Refusal struct {
	Status  int // PKIStatus, 2 rejection to 5
	Failure Failure
	Text    string // what the authority says to people; not to be trusted, nor shown to strangers
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the time-stamping authority refused: %v", r.Failure)
}

// A Response is TimeStampResp, RFC 3161 section 2.4.2: a token or a refusal, never both. Its DER is the content of a .tsr
// file.
type Response struct {
	Token   []byte // DER of a ContentInfo; nothing in it is verified
	Refusal *Refusal
}

// ParseResponse reads a response. Errors are ErrMalformed; a refusal is not an error here.
func ParseResponse(b []byte) (r Response, err error) {
	in, err := open(b, maxReply)
	if err != nil {
		return r, err
	}
	info := in.Sequence("status")
	refusal := readStatus(&info)
	if in.Err() == nil && refusal.Status != statusGranted && refusal.Status != statusGrantedChanged {
		in.End("a refusal with a token")
		r.Refusal = refusal
	} else {
		r.Token = in.Element(der.Sequence, "token")
		in.End("token")
	}
	if err := in.Err(); err != nil {
		return Response{}, err
	}
	return r, nil
}

func readStatus(in *der.Cursor) *Refusal {
	r := &Refusal{Status: int(in.Int("status")), Failure: unstated}
	if r.Status < statusGranted || r.Status > statusRevocation {
		in.Fail("status")
	}
	texts, _ := in.Optional(der.Sequence, "status")
	var lines []string
	for !texts.Empty() {
		lines = append(lines, string(texts.Content(der.UTF8String, "status text")))
	}
	r.Text = strings.ToValidUTF8(strings.Join(lines, " "), "\uFFFD")
	if in.Is(der.BitString) {
		bits := in.BitString("failure info")
		for f := 0; f < bits.BitLength && f <= maxFailure && r.Failure == unstated; f++ {
			if bits.At(f) == 1 {
				r.Failure = Failure(f)
			}
		}
	}
	in.End("status")
	return r
}
