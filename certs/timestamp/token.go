package timestamp

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/der"
)

// ContentType is the content type of a token, id-ct-TSTInfo.
var ContentType = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}

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
	if !m.ContentType.Equal(ContentType) && !(m.Dialect == cms.GM && m.ContentType.Equal(cms.GM.Data())) || m.Detached {
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
	if in.Int("version or policy") != 1 {
		in.Fail("version or policy")
	}
	i.Policy = in.OID("version or policy")
	i.Imprint = readImprint(&in)
	if i.Serial = readInteger(&in, "serial number"); i.Serial == nil {
		in.Fail("serial number")
	}
	var ok bool
	if i.Time, ok = parseTime(string(in.Content(der.GeneralizedTime, "time"))); !ok {
		in.Fail("time")
	}
	if accuracy, present := in.Optional(der.Sequence, "accuracy"); present {
		i.Accuracy = readAccuracy(&accuracy)
	}
	set, present := in.Bool("ordering")
	if i.Ordering = set; present && !set { // DER writes no default
		in.Fail("ordering")
	}
	i.Nonce = readInteger(&in, "nonce")
	i.readRest(&in)
	if err := in.Err(); err != nil {
		return Info{}, err
	}
	return i, nil
}

// readRest takes the authority's name and the extensions. A critical extension is one that must be understood, and none is.
func (i *Info) readRest(in *der.Cursor) {
	name, named := in.Optional(der.Explicit(0), "authority or extensions")
	extensions, _ := in.Optional(der.Explicit(1), "authority or extensions")
	in.End("authority or extensions")
	if named && name.Is(der.Explicit(4)) {
		i.Name = name.Content(der.Explicit(4), "authority")
	}
	for !extensions.Empty() {
		extension := extensions.Sequence("extensions")
		extension.OID("extensions")
		critical, _ := extension.Bool("extensions")
		extension.Octets("extensions")
		extension.End("extensions")
		if critical {
			extension.Fail("unknown critical extension")
		}
	}
}

// timeForm is GeneralizedTime as DER and RFC 3161 want it: UTC, seconds always, a fraction without trailing zeros.
const timeForm = "20060102150405.999999999Z"

func formatTime(at time.Time) string { return at.UTC().Format(timeForm) }

// parseTime reads a GeneralizedTime in its one form.
func parseTime(s string) (time.Time, bool) {
	at, err := time.Parse(timeForm, s)
	if err != nil || formatTime(at) != s {
		return time.Time{}, false
	}
	return at.UTC(), true
}

// maxAccuracy in seconds: whoever is off by more than a year does not tell the time.
const maxAccuracy = 366 * 24 * 60 * 60

func readAccuracy(in *der.Cursor) time.Duration {
	var seconds int64
	if in.Is(der.Integer) {
		seconds = in.Int("accuracy")
	}
	if seconds < 0 || seconds > maxAccuracy {
		in.Fail("accuracy")
	}
	total := time.Duration(seconds) * time.Second
	for tag, unit := range []time.Duration{time.Millisecond, time.Microsecond} {
		part, present := in.TaggedInt(der.Context(uint8(tag)), "accuracy")
		if present && (part < 1 || part > 999) {
			in.Fail("accuracy")
		}
		total += time.Duration(part) * unit
	}
	in.End("accuracy")
	return total
}

// String tells the time and how exact it is, for people.
func (i Info) String() string {
	parts := []string{i.Time.Format(time.RFC3339Nano)}
	if i.Accuracy > 0 {
		parts = append(parts, "±"+i.Accuracy.String())
	}
	return strings.Join(append(parts, "policy", i.Policy.String()), " ")
}

// readInteger takes an INTEGER of at most 64 bytes if the next value is one; else it is nil.
func readInteger(in *der.Cursor, what string) *big.Int {
	if !in.Is(der.Integer) {
		return nil
	}
	n := in.BigInt(what)
	if n.BitLen() > 8*maxInteger {
		in.Fail(what)
	}
	return n
}
