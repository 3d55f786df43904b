package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
)

// timeStamping is the extended key usage that RFC 3161 section 2.3 demands of a time-stamping authority: critical, and its
// one purpose id-kp-timeStamping.
var timeStamping = pkix.Extension{
	Id:       asn1.ObjectIdentifier{2, 5, 29, 37},
	Critical: true,
	Value:    []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08},
}
