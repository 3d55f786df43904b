package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/smx509"
)

// The bits of keyUsage (RFC 5280 section 4.2.1.3) that the two certificates of a pair (双证书) carry.
const (
	signs    = smx509.KeyUsageDigitalSignature
	encrypts = smx509.KeyUsageKeyEncipherment | smx509.KeyUsageDataEncipherment | smx509.KeyUsageKeyAgreement
)

// noCheck is id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1): a responder's certificate that is not itself asked about.
var noCheck = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes}

// keyUsage is what our authority lets a key of a usage do.
func keyUsage(usage string) smx509.KeyUsage {
	switch usage {
	case Call:
		return signs
	case Encryption:
		return encrypts
	}
	// Licenses, seals, lists, checkpoints and attestations bind their signer (抗抵赖).
	return signs | smx509.KeyUsageContentCommitment
}

// allows tells whether a certificate lets its key be used so: the bits that encrypt for [Encryption], those that sign for
// everything else.
func allows(c *Certificate, usage string) bool {
	if usage == Encryption {
		return c.KeyUsage&encrypts != 0
	}
	return c.KeyUsage&signs != 0
}

// IsSigning tells whether a certificate is the signing one of a pair: it may sign.
func IsSigning(c *Certificate) bool { return allows(c, "") }

// IsEncryption tells whether a certificate is the encryption one of a pair: others may encrypt to it.
func IsEncryption(c *Certificate) bool { return allows(c, Encryption) }

// NoCheck tells whether a responder's certificate says that it is not itself asked about.
func NoCheck(c *Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(noCheck.Id) {
			return true
		}
	}
	return false
}

// Where certificates say what their keys are for: the values of [UsageRule.From].
const (
	FromOU     = "ou"     // subject OU, as our own authority writes it
	FromEKU    = "eku"    // extended key usage, RFC 5280 section 4.2.1.12
	FromPolicy = "policy" // certificate policies, RFC 5280 section 4.2.1.4
)

// A UsageRule says where the certificates under one anchor say what their keys are for. An authority that lets subscribers
// choose their OU would let them choose their usage: under FromEKU and FromPolicy the OU counts for nothing.
type UsageRule struct {
	From   string            // FromOU, FromEKU or FromPolicy
	Usages map[string]string // for the last two: object identifier in dotted decimals → usage
}

// usages are all that a certificate may be for.
var usages = []string{Call, License, Log, Seal, Status, Attest, TimeStamp, SealMaker, OCSP, Encryption}

// Check says what is wrong with a rule.
func (r UsageRule) Check() error {
	switch {
	case r.From == FromOU && len(r.Usages) > 0:
		return errors.New("object identifiers belong to eku and policy only")
	case r.From == FromOU:
		return nil
	case r.From != FromEKU && r.From != FromPolicy:
		return fmt.Errorf("usage is read from %q, %q or %q", FromOU, FromEKU, FromPolicy)
	case len(r.Usages) == 0:
		return errors.New("no object identifier is given a usage")
	}
	for id, usage := range r.Usages {
		if !isOID(id) {
			return fmt.Errorf("%q is not an object identifier in dotted decimals", id)
		}
		if id == anyEKU.String() || id == anyPolicy.String() {
			return fmt.Errorf("%s means any usage, so it cannot stand for %s", id, usage)
		}
		if !slices.Contains(usages, usage) {
			return fmt.Errorf("%q is not a usage; usages are %s", usage, strings.Join(usages, ", "))
		}
	}
	return nil
}

// isOID tells whether text is an object identifier as [asn1.ObjectIdentifier.String] writes it.
func isOID(text string) bool {
	arcs := strings.Split(text, ".")
	for _, arc := range arcs {
		n, err := strconv.ParseInt(arc, 10, 32)
		if err != nil || n < 0 || strconv.FormatInt(n, 10) != arc {
			return false
		}
	}
	return len(arcs) >= 2
}

var (
	oidEKU      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidPolicies = asn1.ObjectIdentifier{2, 5, 29, 32}
	anyEKU      = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	anyPolicy   = asn1.ObjectIdentifier{2, 5, 29, 32, 0}
)

// usageOf is what the leaf of a path is for, by the rule of its anchor. More than one usage is none: a key has one.
func (r UsageRule) usageOf(path []*Certificate) string {
	if r.From != FromEKU && r.From != FromPolicy {
		if ou := path[0].Subject.OrganizationalUnit; len(ou) == 1 {
			return ou[0]
		}
		return ""
	}
	usage := ""
	for _, id := range r.identifiers(path[0]) {
		switch found := r.Usages[id.String()]; {
		case found == "" || !r.permitted(id, path[1:]):
		case usage != "" && usage != found:
			return ""
		default:
			usage = found
		}
	}
	return usage
}

// permitted tells whether the authorities between a leaf and its anchor may certify keys under an identifier. A policy must
// stand in each, or anyPolicy (RFC 5280 section 6.1.3 d); an extended key usage only in those that have the extension.
func (r UsageRule) permitted(id asn1.ObjectIdentifier, above []*Certificate) bool {
	for _, c := range above[:max(len(above)-1, 0)] {
		ids := r.identifiers(c)
		unlimited := r.From == FromEKU && extension(c, oidEKU) == nil
		if !unlimited && !slices.ContainsFunc(ids, func(o asn1.ObjectIdentifier) bool { return o.Equal(id) || o.Equal(anyPolicy) || o.Equal(anyEKU) }) {
			return false
		}
	}
	return true
}

// identifiers are those of a certificate's extension; none where it cannot be read.
func (r UsageRule) identifiers(c *Certificate) (ids []asn1.ObjectIdentifier) {
	if r.From == FromEKU {
		if rest, err := asn1.Unmarshal(extension(c, oidEKU), &ids); err != nil || len(rest) > 0 {
			return nil
		}
		return ids
	}
	var policies []struct {
		ID         asn1.ObjectIdentifier
		Qualifiers asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(extension(c, oidPolicies), &policies); err != nil || len(rest) > 0 {
		return nil
	}
	for _, p := range policies {
		ids = append(ids, p.ID)
	}
	return ids
}

// extension is the value of an extension; nil if the certificate has none.
func extension(c *Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

// Describe is [Verifier.Chain] for any usage: what a chain that holds says of its leaf, its usage included. It asks nobody
// about revocation.
func (v *Verifier) Describe(leaf *Certificate, intermediates []*Certificate, at time.Time) (Leaf, error) {
	found, err := v.find(leaf, intermediates, at)
	return found.leaf, err
}

// timeStamping is the extended key usage that RFC 3161 section 2.3 demands of a time-stamping authority: critical, and its
// one purpose id-kp-timeStamping.
var timeStamping = pkix.Extension{
	Id:       asn1.ObjectIdentifier{2, 5, 29, 37},
	Critical: true,
	Value:    []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08},
}
