package timestamp

import (
	"encoding/asn1"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

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

// Marshal returns the response in DER.
func (r Response) Marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if r.Refusal == nil {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(statusGranted) })
			b.AddBytes(r.Token)
			return
		}
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(r.Refusal.Status))
			if r.Refusal.Text != "" {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.Refusal.Text)) })
				})
			}
			if f := r.Refusal.Failure; f >= 0 && f <= maxFailure {
				bits := make([]byte, f/8+1) // a named bit list ends with its last one
				bits[f/8] = 0x80 >> (f % 8)
				b.AddASN1(casn1.BIT_STRING, func(b *cryptobyte.Builder) { b.AddBytes(append([]byte{byte(7 - f%8)}, bits...)) })
			}
		})
	})
	return b.Bytes()
}

// ParseResponse reads a response. Errors are ErrMalformed; a refusal is not an error here.
func ParseResponse(b []byte) (r Response, err error) {
	in, err := open(b, maxReply)
	if err != nil {
		return r, err
	}
	var info, token cryptobyte.String
	if !in.ReadASN1(&info, casn1.SEQUENCE) {
		return r, errMember("status")
	}
	refusal, err := readStatus(info)
	if err != nil {
		return r, err
	}
	granted := refusal.Status == statusGranted || refusal.Status == statusGrantedChanged
	if !granted {
		if !in.Empty() {
			return r, errMember("a refusal with a token")
		}
		r.Refusal = refusal
		return r, nil
	}
	if !in.ReadASN1Element(&token, casn1.SEQUENCE) || !in.Empty() {
		return r, errMember("token")
	}
	r.Token = token
	return r, nil
}

func readStatus(in cryptobyte.String) (*Refusal, error) {
	r := &Refusal{Failure: unstated}
	var texts cryptobyte.String
	var present bool
	if !in.ReadASN1Integer(&r.Status) || r.Status < statusGranted || r.Status > statusRevocation ||
		!in.ReadOptionalASN1(&texts, &present, casn1.SEQUENCE) {
		return nil, errMember("status")
	}
	var lines []string
	for !texts.Empty() {
		var line cryptobyte.String
		if !texts.ReadASN1(&line, casn1.UTF8String) {
			return nil, errMember("status text")
		}
		lines = append(lines, string(line))
	}
	r.Text = strings.ToValidUTF8(strings.Join(lines, " "), "\uFFFD")
	if in.PeekASN1Tag(casn1.BIT_STRING) {
		var bits asn1.BitString
		if !in.ReadASN1BitString(&bits) {
			return nil, errMember("failure info")
		}
		for f := 0; f < bits.BitLength && f <= maxFailure && r.Failure == unstated; f++ {
			if bits.At(f) == 1 {
				r.Failure = Failure(f)
			}
		}
	}
	if !in.Empty() {
		return nil, errMember("status")
	}
	return r, nil
}
