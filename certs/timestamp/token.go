package timestamp

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/cms"
)

// tstInfo is the content type of a token, id-ct-TSTInfo.
var tstInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}

// Info is TSTInfo, RFC 3161 section 2.4.2: what an authority states.
type Info struct {
	Policy   asn1.ObjectIdentifier
	Imprint  Imprint
	Serial   *big.Int
	Time     time.Time     // genTime, UTC
	Accuracy time.Duration // how far Time may be off; zero: not stated
	Ordering bool          // tokens of this authority are ordered by Time alone
	Nonce    *big.Int      // as asked; nil: none
	Name     []byte        // DER of the authority's name (directoryName), nil when not stated
}

// A Token is a time-stamp token taken apart. Nothing in it is verified.
type Token struct {
	Info
	Message *cms.Message
}

var (
	tagConstructed0 = casn1.Tag(0).ContextSpecific().Constructed()
	tagConstructed1 = casn1.Tag(1).ContextSpecific().Constructed()
	tagConstructed4 = casn1.Tag(4).ContextSpecific().Constructed()
)

// ParseToken reads a token, with the object identifiers of RFC 5652 or of GB/T 35275. Errors are ErrMalformed or
// [cms.ErrMalformed].
func ParseToken(b []byte) (*Token, error) {
	if len(b) > maxReply {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxReply)
	}
	m, err := cms.Parse(b)
	if err != nil {
		return nil, err
	}
	// Some name the content plain data when they use the identifiers of GB/T 35275. The key's only usage is stamping, so no
	// other content can be taken for a stamp.
	if !m.ContentType.Equal(tstInfo) && !(m.Dialect == cms.GM && m.ContentType.Equal(cms.GM.Data())) || m.Detached {
		return nil, errMember("the message is not a time stamp")
	}
	if len(m.Signers) != 1 {
		return nil, errMember("a token has one signer")
	}
	info, err := parseInfo(m.Content)
	if err != nil {
		return nil, err
	}
	return &Token{info, m}, nil
}

func parseInfo(b []byte) (i Info, err error) {
	in, err := open(b, maxReply)
	if err != nil {
		return i, err
	}
	var version int
	if !in.ReadASN1Integer(&version) || version != 1 || !in.ReadASN1ObjectIdentifier(&i.Policy) {
		return i, errMember("version or policy")
	}
	var ok bool
	if i.Imprint, ok = readImprint(&in); !ok {
		return i, errMember("message imprint")
	}
	if i.Serial, ok = readInteger(&in); !ok || i.Serial == nil {
		return i, errMember("serial number")
	}
	var at, accuracy cryptobyte.String
	if !in.ReadASN1(&at, casn1.GeneralizedTime) {
		return i, errMember("time")
	}
	if i.Time, err = parseTime(string(at)); err != nil {
		return i, err
	}
	var present bool
	if !in.ReadOptionalASN1(&accuracy, &present, casn1.SEQUENCE) {
		return i, errMember("accuracy")
	}
	if i.Accuracy, ok = readAccuracy(accuracy); !ok {
		return i, errMember("accuracy")
	}
	if in.PeekASN1Tag(casn1.BOOLEAN) && (!in.ReadASN1Boolean(&i.Ordering) || !i.Ordering) { // DER writes no default
		return i, errMember("ordering")
	}
	if i.Nonce, ok = readInteger(&in); !ok {
		return i, errMember("nonce")
	}
	return i, i.readRest(in)
}

// readRest takes the authority's name and the extensions. A critical extension is one that must be understood, and none is.
func (i *Info) readRest(in cryptobyte.String) error {
	var name, directory, extensions cryptobyte.String
	var named, isDirectory, extended bool
	if !in.ReadOptionalASN1(&name, &named, tagConstructed0) || !in.ReadOptionalASN1(&extensions, &extended, tagConstructed1) || !in.Empty() {
		return errMember("authority or extensions")
	}
	if named {
		if !name.ReadOptionalASN1(&directory, &isDirectory, tagConstructed4) {
			return errMember("authority")
		}
		if isDirectory {
			i.Name = directory
		}
	}
	for !extensions.Empty() {
		var extension, value cryptobyte.String
		var of asn1.ObjectIdentifier
		critical := false
		if !extensions.ReadASN1(&extension, casn1.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&of) ||
			extension.PeekASN1Tag(casn1.BOOLEAN) && !extension.ReadASN1Boolean(&critical) || !extension.ReadASN1(&value, casn1.OCTET_STRING) || !extension.Empty() {
			return errMember("extensions")
		}
		if critical {
			return errMember("a critical extension that is not known")
		}
	}
	return nil
}

// marshal returns the DER of the info.
func (i Info) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(i.Policy)
		i.Imprint.add(b)
		b.AddASN1BigInt(i.Serial)
		b.AddASN1(casn1.GeneralizedTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte(formatTime(i.Time))) })
		if i.Accuracy > 0 {
			addAccuracy(b, i.Accuracy)
		}
		if i.Ordering {
			b.AddASN1Boolean(true)
		}
		if i.Nonce != nil {
			b.AddASN1BigInt(i.Nonce)
		}
	})
	return b.Bytes()
}

// timeForm is GeneralizedTime as DER and RFC 3161 want it: UTC, seconds always, a fraction without trailing zeros.
const timeForm = "20060102150405.999999999Z"

func formatTime(at time.Time) string { return at.UTC().Format(timeForm) }

// parseTime reads a GeneralizedTime in its one form.
func parseTime(s string) (time.Time, error) {
	at, err := time.Parse(timeForm, s)
	if err != nil || formatTime(at) != s {
		return time.Time{}, errMember("time")
	}
	return at.UTC(), nil
}

// addAccuracy writes Accuracy: seconds, milliseconds, microseconds, each where it is not zero.
func addAccuracy(b *cryptobyte.Builder, d time.Duration) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if s := int64(d / time.Second); s > 0 {
			b.AddASN1Int64(s)
		}
		if ms := int64(d % time.Second / time.Millisecond); ms > 0 {
			b.AddASN1Int64WithTag(ms, casn1.Tag(0).ContextSpecific())
		}
		if us := int64(d % time.Millisecond / time.Microsecond); us > 0 {
			b.AddASN1Int64WithTag(us, casn1.Tag(1).ContextSpecific())
		}
	})
}

// maxAccuracy in seconds: whoever is off by more than a year does not tell the time.
const maxAccuracy = 366 * 24 * 60 * 60

func readAccuracy(in cryptobyte.String) (time.Duration, bool) {
	var seconds, millis, micros int64
	if in.PeekASN1Tag(casn1.INTEGER) && !in.ReadASN1Integer(&seconds) || seconds < 0 || seconds > maxAccuracy {
		return 0, false
	}
	for tag, part := range []*int64{&millis, &micros} {
		t := casn1.Tag(tag).ContextSpecific()
		if in.PeekASN1Tag(t) && (!in.ReadASN1Int64WithTag(part, t) || *part < 1 || *part > 999) {
			return 0, false
		}
	}
	return time.Duration(seconds)*time.Second + time.Duration(millis)*time.Millisecond + time.Duration(micros)*time.Microsecond, in.Empty()
}

// String tells the time and how exact it is, for people.
func (i Info) String() string {
	parts := []string{i.Time.Format(time.RFC3339Nano)}
	if i.Accuracy > 0 {
		parts = append(parts, "±"+i.Accuracy.String())
	}
	return strings.Join(append(parts, "policy", i.Policy.String()), " ")
}
