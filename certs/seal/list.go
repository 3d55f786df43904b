package seal

import (
	"bytes"
	"slices"
	"strings"

	"oncegate/certs/sm"
)

// DigestType is what our seals write as the type of a certificate's digest.
const DigestType = "SM3"

// sm3 says that the digest is surely SM3: type is a name of the vendor's own choice.
func (d CertDigest) sm3() bool {
	return len(d.Value) == sm.DigestSize && slices.Contains([]string{DigestType, "1.2.156.10197.1.401"}, strings.ToUpper(d.Type))
}

// Len is the number of signers.
func (l Signers) Len() int { return len(l.Certificates) + len(l.Digests) }

// Has tells whether a certificate is on the list, byte by byte or by its SM3. A digest that is not SM3 matches nothing.
func (l Signers) Has(certificate []byte) bool {
	if slices.ContainsFunc(l.Certificates, func(c []byte) bool { return bytes.Equal(c, certificate) }) {
		return true
	}
	digest := sm.Digest(certificate)
	return slices.ContainsFunc(l.Digests, func(d CertDigest) bool { return bytes.Equal(d.Value, digest[:]) })
}

// known says that nothing on the list is beyond us: who is not found is not there.
func (l Signers) known() bool {
	return !slices.ContainsFunc(l.Digests, func(d CertDigest) bool { return !d.sm3() })
}
