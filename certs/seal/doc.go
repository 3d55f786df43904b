// Package seal implements electronic seals (电子印章, GB/T 38540-2020, version 4): it makes seals, seals documents, and parses and
// verifies seals and seal signatures, of other vendors too. Version 1 (GM/T 0031-2014) and version 5 (GM/T 0031-2025) are read only.
//
// A seal maker (制章者) signs a seal: its permitted signers (签章者), its picture and its period of validity. A permitted signer signs
// the digest of a document's Signature.xml, with the whole seal inside. The signed bytes are exactly [Seal.Signed] and
// [Signature.Signed], SM2 with SM3 under the default user id; signatures are DER.
//
// Parsing is strict DER, bounded, and preserves unknown members; [Signature.Verify] names that in a step of
// its own. The parsed values share the bytes they were read from: they are read-only.
package seal

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"time"

	"oncegate/certs/sm"
)

// Bounds of parsing. Seals in use have 3–200 kB, nearly all of it picture.
const (
	// MaxSize bounds the DER of a signature, the seal inside it, in bytes.
	MaxSize = 2 << 20
	// MaxSigners bounds a seal's list of signers: a department has a handful.
	MaxSigners = 256
	// MaxExtensions bounds each list of extension data.
	MaxExtensions = 64
)

// Why a seal or a signature could not be read, made or used.
var (
	ErrForm      = errors.New("malformed electronic seal")
	ErrVersion   = errors.New("unknown version of an electronic seal")
	ErrSpec      = errors.New("no seal can be made of this")
	ErrPicture   = errors.New("not a picture for a seal")
	ErrKey       = errors.New("the key is not the certificate's")
	ErrNotListed = errors.New("the signer is not on the seal's list")
	ErrPeriod    = errors.New("outside the period of validity")
)

// Types of seals (印章类型). Others are in use and accepted.
const (
	Unit   = 1 // 单位印章
	Person = 2 // 个人名章
)

// A Seal is an electronic seal (SESeal), read or made.
type Seal struct {
	Raw     []byte // the whole DER: the content of Seal.esl
	Signed  []byte // what the maker signed: DER(eSealInfo), in version 1 a SEQUENCE of info, certificate and algorithm
	Version int    // 1, 4 or 5
	Vid     string // vendor id (厂商标识)
	ID      string // esID (印章标识)
	Type    int64  // [Unit], [Person] or another
	Name    string // 印章名称

	Signers Signers
	Created time.Time
	From    time.Time // validStart
	To      time.Time // validEnd
	Picture Picture

	Extensions  []Extension
	Certificate []byte // the maker's certificate, DER as it stands there
	Algorithm   asn1.ObjectIdentifier
	Signature   []byte // signedValue: SM2Signature DER
	TimeStamp   []byte // version 5: a token; nil when there is none

	oddities []string
}

// Signers are who may use a seal: certificates (certListType 1) or digests of certificates (certListType 2).
type Signers struct {
	ListType     int64    // 1 or 2; version 1 has no such field and counts as 1
	Certificates [][]byte // DER
	Digests      []CertDigest
}

// A CertDigest stands for one certificate.
type CertDigest struct {
	Type  string // names the digest; each vendor has its own names, ours is "SM3"
	Value []byte
}

// A Picture is how a seal looks.
type Picture struct {
	Type   string // "png", "PNG", "ofd", …: as it stands there
	Data   []byte
	Width  int64 // mm
	Height int64 // mm
}

// An Extension is an entry of extDatas, which the standard does not explain further.
type Extension struct {
	ID       asn1.ObjectIdentifier
	Critical bool
	Value    []byte
}

// A Signature is a document's seal signature (SES_Signature), read or made: the content of SignedValue.dat.
type Signature struct {
	Raw     []byte // the whole DER
	Signed  []byte // what the signer signed: DER(toSign)
	Version int    // of TBS_Sign: 1, 4 or 5
	Seal    *Seal

	// Time is timeInfo: when the signer says that it signed. Zero when it cannot be read as a time, as may be in version 1.
	Time         time.Time
	TimeInfo     []byte // its content octets
	DataHash     []byte // SM3 of Signature.xml
	PropertyInfo string // absolute path of Signature.xml inside the package

	Extensions  []Extension
	Certificate []byte // the signer's certificate, DER as it stands there
	Algorithm   asn1.ObjectIdentifier
	Signature   []byte // SM2Signature DER; what a time stamp covers
	TimeStamp   []byte // a time-stamp token; nil when there is none

	oddities []string
}

// DigestType is what our seals write as the type of a certificate's digest.
const DigestType = "SM3"

// sm3 says that the digest is surely SM3: type is a name of the vendor's own choice.
func (d CertDigest) sm3() bool {
	return len(d.Value) == sm.DigestSize && slices.Contains([]string{DigestType, "1.2.156.10197.1.401"}, strings.ToUpper(d.Type))
}

// Len is the number of signers.
func (l Signers) Len() int { return len(l.Certificates) + len(l.Digests) }

// Has reports whether a certificate is on the list, byte by byte or by its SM3. A digest that is not SM3 matches nothing.
func (l Signers) Has(certificate []byte) bool {
	if slices.ContainsFunc(l.Certificates, func(c []byte) bool { return bytes.Equal(c, certificate) }) {
		return true
	}
	digest := sm.Digest(certificate)
	return slices.ContainsFunc(l.Digests, func(d CertDigest) bool { return bytes.Equal(d.Value, digest[:]) })
}

// known reports whether every entry of the list was understood: only then is a certificate that is not found not on the list.
func (l Signers) known() bool {
	return !slices.ContainsFunc(l.Digests, func(d CertDigest) bool { return !d.sm3() })
}
