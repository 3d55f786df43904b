// Package certs is the parent of all cryptographic packages. It holds no code of its own; read its folders in this order:
//
//	sm          SM3, HMAC-SM3, SM2 signatures r‖s, public keys: the ground of the rest
//	der         strict DER (Check) and the one cursor that reads it (Cursor); PEM
//	envelope    encryption at rest with SM4-GCM, key id in every blob
//	keystore    a directory of keys under a passphrase, with usages and rotation; keystore/pkcs12 reads PKCS#12
//	pki         an SM2 certificate authority, and the verifier of certificate chains; signing times (SigningTime)
//	revocation  CRL and OCSP: client with a cache, evidence kept with signatures
//	jws         compact JWS with SM2 and SM3; the one place that knows jwx
//	token       signed calls (design 5.4)
//	sdjwt       selectively disclosable credentials (RFC 9901), the form of a license (design 5.5)
//	statuslist  token status lists
//	note        the two signature lines of a checkpoint (design 5.6)
//	second      the second, independent SM2 verifier, and when it is asked (DualVerifier)
//	cms         signed messages: GB/T 35275 and RFC 5652
//	timestamp   time stamps: RFC 3161 and GB/T 20520, client and verifier
//	seal        electronic seals (GB/T 38540)
//	ofd         OFD documents (GB/T 33190): written, signed, verified
//	pkcs11      keys in devices (密码机), by PKCS#11; not part of the standard binary
//	certstest   throw-away keys and certificates for tests; certstest/ocsp is a responder, certstest/tsa a time-stamping authority
//
// Every private key that is in this process is used by emmansun/gmsm only. tjfoc/gmsm only verifies. Nothing here knows what a
// license is. testdata/sm2-negative holds signatures that everybody must refuse, for others to use too.
package certs
