package document

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"oncegate/certs/envelope"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/register"
)

// Codes makes and reads the codes on documents (二维码): what the QR code of a document opens is the public page of its code, at which
// anybody who holds the document learns how the license stands. A code is the place of a version in the status lists, with the end of the
// license number where the document prints it, enciphered in one block under a key that follows from the salt key: nobody can guess one or
// tell that two are of one license or of neighbouring slots, no row is kept of it, and all nodes make the same. The salt key is never
// replaced, because paper outlives every other key. It is safe for concurrent use.
type Codes struct {
	cipher    *envelope.ShortCipher
	lists     func(id string) uint64 // keyed digest of a list's id
	register  *register.Register
	catalogue *license.Catalogue
	issuer    func(uscc string) string
	base      string
}

// CodesConfig is the configuration of Codes. All fields are required but Issuer.
type CodesConfig struct {
	Secret    []byte // the salt key
	Register  *register.Register
	Catalogue *license.Catalogue
	Issuer    func(uscc string) string // name of a body; "" or nil: its code is shown
	BaseURL   string                   // public URL that CodePath stands under, without a slash at its end
}

// CodePath is the path of the pages of codes under the base URL. It is also served in upper case.
const CodePath = "/v/"

// NewCodes returns the codes of a register.
func NewCodes(c CodesConfig) (*Codes, error) {
	if c.Register == nil || c.Catalogue == nil || len(c.Secret) == 0 || c.BaseURL == "" {
		return nil, errors.New("make codes of documents: secret, register, catalogue and base URL are required")
	}
	if c.Issuer == nil {
		c.Issuer = func(string) string { return "" }
	}
	cipher, err := envelope.NewShortCipher(c.Secret, "document-code")
	if err != nil {
		return nil, fmt.Errorf("make codes of documents: %w", err)
	}
	key := sm.HMAC(c.Secret, []byte("oncegate/document/code-lists/v1"))
	lists := func(id string) uint64 {
		sum := sm.HMAC(key[:], []byte(id))
		return binary.BigEndian.Uint64(sum[:]) >> (64 - listBits)
	}
	return &Codes{cipher: cipher, lists: lists, register: c.Register, catalogue: c.Catalogue, issuer: c.Issuer, base: c.BaseURL}, nil
}

// The text of a code, ShortSize bytes: the digest of its list, its slot, and the end of the license number. With the cipher's zeros a code that
// nobody made is one of a list with probability 2^-85.
const (
	listBits = 37
	slotBits = 22 // lists have at most 2^22 slots
	tailBits = 21 // 37^4 is less
)

// codeAlphabet has no letters that are taken for digits (Crockford), and is within the alphabet of QR codes' alphanumeric mode.
const codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var codeText = base32.NewEncoding(codeAlphabet).WithPadding(base32.NoPadding)

// CodeLength is the number of characters of a code.
const CodeLength = 26

// URL returns the address of the page of a version's code, which the QR code of its documents holds. tail is the end of the license number,
// as NumberTail returns it; empty where the document does not print it. Where the base URL has no path of its own the address is in upper
// case, in which QR codes are smaller (alphanumeric mode, ISO/IEC 18004): scheme and host mean the same in either case.
func (c *Codes) URL(v register.Version, tail string) string {
	var text [envelope.ShortSize]byte
	list, rest := c.lists(v.List), uint64(v.Slot)<<tailBits|packTail(tail)
	// 37 + 22 + 21 = 80 bits, the most significant first
	binary.BigEndian.PutUint64(text[2:], list<<(slotBits+tailBits)|rest)
	binary.BigEndian.PutUint16(text[:], uint16(list>>(64-slotBits-tailBits)))
	sealed := c.cipher.Seal(text)
	address := c.base + CodePath + codeText.EncodeToString(sealed[:])
	if u, err := url.Parse(c.base); err == nil && u.Path == "" {
		address = strings.ToUpper(address)
	}
	return address
}

// place is what a code is made of.
type place struct {
	list uint64
	slot int
	tail string
}

// read deciphers a code; ok is false where it is none of ours.
func (c *Codes) read(code string) (p place, ok bool) {
	code = strings.NewReplacer("-", "", "O", "0", "I", "1", "L", "1").Replace(license.NormalCode(code))
	if len(code) != CodeLength {
		return p, false
	}
	sealed, err := codeText.DecodeString(code)
	if err != nil || len(sealed) != envelope.ShortBlock || codeText.EncodeToString(sealed) != code {
		return p, false
	}
	text, err := c.cipher.Open([envelope.ShortBlock]byte(sealed))
	if err != nil {
		return p, false
	}
	low := binary.BigEndian.Uint64(text[2:])
	p.list = uint64(binary.BigEndian.Uint16(text[:]))<<(64-slotBits-tailBits) | low>>(slotBits+tailBits)
	p.slot = int(low >> tailBits & (1<<slotBits - 1))
	p.tail, ok = unpackTail(low & (1<<tailBits - 1))
	return p, ok
}

// States of a license at its public page.
const (
	StateValid      = "valid"
	StateNotYet     = "not-yet"    // its validity has not begun
	StateSuspended  = "suspended"  //
	StateRevoked    = "revoked"    // 注销, 吊销 or 撤销, which nobody tells apart (license.Revoked)
	StateSuperseded = "superseded" //
	StateExpired    = "expired"    // its validity has ended
	StateEnded      = "ended"      // its source or its department ended it before
)

// A Standing is what the public page of a code says: nothing that the document does not print, and how the license stands.
type Standing struct {
	Type   string // name of the license type
	Issuer string // name of the issuing body
	Tail   string // end of the license number, where the document prints it
	State  string // one of the states
	// Since when the register, and the status list with it, has the license so: of StateNotYet and StateExpired when its validity begins or
	// has ended, zero for StateValid.
	Since time.Time
}

// Find returns how the license of a code stands at a moment. The error is fs.ErrNotExist for what is no code, a code of another gateway, or one
// whose version the register does not have: nobody learns which. All of them cost the same reads.
func (c *Codes) Find(ctx context.Context, code string, now time.Time) (Standing, error) {
	v, tail, err := c.find(ctx, code)
	if err != nil {
		return Standing{}, fmt.Errorf("find document by its code: %w", err)
	}
	s, err := standing(v, now)
	if err != nil {
		return Standing{}, fmt.Errorf("find document by its code: %w", err)
	}
	s.Type, s.Issuer, s.Tail = v.Type, v.Issuer, tail
	if t, ok := c.catalogue.Type(v.Type); ok {
		s.Type = t.Name
	}
	if name := c.issuer(v.Issuer); name != "" {
		s.Issuer = name
	}
	return s, nil
}

func (c *Codes) find(ctx context.Context, code string) (found register.Version, tail string, err error) {
	p, ok := c.read(code)
	lists, err := c.register.Lists(ctx)
	if err != nil {
		return found, "", err
	}
	lists = slices.DeleteFunc(lists, func(id string) bool { return !ok || c.lists(id) != p.list })
	if len(lists) == 0 {
		lists = []string{""} // a list that is not there: the same reads as for any other
	}
	err = fs.ErrNotExist
	for _, id := range lists { // one, unless digests are equal
		v, missing := c.register.At(ctx, id, p.slot)
		switch {
		case missing == nil && err == nil:
			return register.Version{}, "", fs.ErrNotExist // it could be either's
		case missing == nil:
			found, err = v, nil
		case !errors.Is(missing, fs.ErrNotExist):
			return found, "", missing
		}
	}
	return found, p.tail, err
}

// standing is how a version stands.
func standing(v register.Version, now time.Time) (s Standing, err error) {
	from, until, err := v.Validity()
	if err != nil {
		return s, err
	}
	over := !until.IsZero() && !now.Before(until)
	since := v.StatusAt
	if v.Ordered != "" && v.Ordered == v.Status {
		since = v.OrderedAt
	}
	switch {
	case over && (v.Status == license.Valid || v.Status == license.Suspended): // as License.StatusAt
		return Standing{State: StateExpired, Since: until}, nil
	case v.Status == license.Valid && now.Before(from):
		return Standing{State: StateNotYet, Since: from}, nil
	case v.Status == license.Valid:
		return Standing{State: StateValid}, nil
	case v.Status == license.Suspended:
		s.State = StateSuspended
	case v.Status == license.Superseded:
		s.State = StateSuperseded
	case v.Status == license.Expired:
		s.State = StateEnded
	default:
		s.State = StateRevoked // also what is not known, as the status list has it
	}
	s.Since = since
	return s, nil
}

// tailLength is how many characters of a license number a code holds.
const tailLength = 4

// tailAlphabet are the characters of a tail. One that is shorter is filled up with the last, a blank.
const tailAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ "

// NumberTail returns the last four letters and digits of a license number, for a person to compare with the paper; empty for a number of fewer
// than eight, of which they would be half.
func NumberTail(number string) string {
	number = strings.Map(func(r rune) rune {
		if r == ' ' || !strings.ContainsRune(tailAlphabet, r) {
			return -1
		}
		return r
	}, license.NormalCode(number))
	if len(number) < 2*tailLength {
		return ""
	}
	return number[len(number)-tailLength:]
}

func packTail(tail string) (packed uint64) {
	for _, r := range fmt.Sprintf("%-*s", tailLength, tail) {
		packed = packed*uint64(len(tailAlphabet)) + uint64(strings.IndexRune(tailAlphabet, r))
	}
	return packed
}

func unpackTail(packed uint64) (string, bool) {
	tail := make([]byte, tailLength)
	for i := range tail {
		tail[tailLength-1-i], packed = tailAlphabet[packed%uint64(len(tailAlphabet))], packed/uint64(len(tailAlphabet))
	}
	return strings.TrimRight(string(tail), " "), packed == 0
}

// printedTail is the tail of the license number that a page prints, by the claims that stand on it; none where the number is a person's.
func printedTail(shows []string, claims []license.Claim) string {
	if !slices.Contains(shows, license.FieldNumber) {
		return ""
	}
	number := ""
	codes := make(map[int]string) // by holder
	for _, c := range claims {
		switch c.Field {
		case license.FieldNumber:
			number = c.Value
		case license.FieldHolderCode:
			codes[c.Holder] = license.NormalCode(c.Value)
		}
	}
	for _, c := range claims {
		if c.Field == license.FieldHolderCodeType && c.Value == publicCodeType {
			delete(codes, c.Holder)
		}
	}
	number = license.NormalCode(number)
	if license.CheckResidentID(number) == nil || slices.Contains(slices.Collect(maps.Values(codes)), number) {
		return ""
	}
	return NumberTail(number)
}

// publicCodeType is the code type of bodies (统一社会信用代码), whose codes are public.
const publicCodeType = "001"
