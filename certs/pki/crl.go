package pki

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/sm"
)

// Reason says why a certificate was revoked, RFC 5280 section 5.3.1.
type Reason int

// Reasons. 7 is not assigned; 8 stands in delta lists only, which nobody here issues or reads.
const (
	Unspecified        Reason = 0
	KeyCompromise      Reason = 1
	CACompromise       Reason = 2
	AffiliationChanged Reason = 3
	Superseded         Reason = 4
	CessationOfUse     Reason = 5
	OnHold             Reason = 6
	PrivilegeWithdrawn Reason = 9
	AACompromise       Reason = 10
)

var reasons = map[Reason]string{
	Unspecified: "unspecified", KeyCompromise: "key-compromise", CACompromise: "ca-compromise",
	AffiliationChanged: "affiliation-changed", Superseded: "superseded", CessationOfUse: "cessation-of-operation",
	OnHold: "certificate-hold", PrivilegeWithdrawn: "privilege-withdrawn", AACompromise: "aa-compromise",
}

// String is the reason's stable name, such as "key-compromise".
func (r Reason) String() string {
	if s, ok := reasons[r]; ok {
		return s
	}
	return "reason-" + fmt.Sprint(int(r))
}

// ParseReason reads a reason's name.
func ParseReason(name string) (Reason, error) {
	for r, s := range reasons {
		if s == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%q is no reason for a revocation", name)
}

// Revoked is one line of a revocation list.
type Revoked struct {
	Serial *big.Int
	Time   time.Time // when the authority revoked it
	Reason Reason
}

// RevocationList makes the authority's complete list (CRL, RFC 5280 section 5, GM/T 0015) as DER: signed now, with the next
// one due after valid. number rises from list to list.
func (ca *CA) RevocationList(ctx context.Context, number *big.Int, valid time.Duration, revoked []Revoked) ([]byte, error) {
	now := ca.now().Truncate(time.Second)
	t := &smx509.RevocationList{
		SignatureAlgorithm: smx509.SM2WithSM3, Number: number, ThisUpdate: now, NextUpdate: now.Add(valid),
	}
	for _, r := range revoked {
		if _, known := reasons[r.Reason]; !known {
			return nil, fmt.Errorf("make revocation list: %s is no reason", r.Reason)
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, smx509.RevocationListEntry{
			SerialNumber: r.Serial, RevocationTime: r.Time.Truncate(time.Second), ReasonCode: int(r.Reason),
		})
	}
	random := ca.Rand
	if random == nil {
		random = rand.Reader
	}
	der, err := smx509.CreateRevocationList(random, t, ca.cert, sm.CryptoSigner{Ctx: ctx, Signer: ca.signer})
	if err != nil {
		return nil, fmt.Errorf("make revocation list: %w", err)
	}
	return der, ca.confirmList(der)
}

// confirmList checks a list's signature before it leaves.
func (ca *CA) confirmList(der []byte) error {
	l, err := smx509.ParseRevocationList(der)
	if err != nil || l.SignatureAlgorithm != smx509.SM2WithSM3 {
		return fmt.Errorf("make revocation list: %w: not SM2 with SM3", ErrBadSignature)
	}
	confirm := ca.VerifyBoth
	if confirm == nil {
		confirm = sm.Verify
	}
	return VerifyDER(confirm, ca.signer.Public(), l.RawTBSRevocationList, l.Signature)
}

// MarshalCRL writes a list as PEM.
func MarshalCRL(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}
