package timestamp

import (
	"encoding/asn1"
	"math/big"

	"oncegate/certs/der"

	"golang.org/x/crypto/cryptobyte"
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
