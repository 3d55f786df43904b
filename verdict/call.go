package verdict

import (
	"crypto/ecdsa"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/check"
)

// publicKey is the SM2 key of a certificate.
func publicKey(c *pki.Certificate) (*ecdsa.PublicKey, error) {
	pub, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || sm.CheckPublicKey(pub) != nil {
		return nil, errors.New("the certificate's key is no SM2 key")
	}
	return pub, nil
}

// readClaims reads a call's claims, and its key id, without trusting them.
func readClaims(compact string) (c token.Claims, err error) {
	parts, err := jws.Split(compact, token.MaxSize)
	if err != nil {
		return c, err
	}
	err = json.Unmarshal(parts.Payload, &c)
	c.KeyID = parts.Header.Kid
	return c, err
}

// callSteps are the steps of a call, in the order in which its faults are found.
var callSteps = []string{"call-form", "call-signature", "call-audience", "call-window", "call-body"}

// stepOf says which step a fault of a call fails.
func stepOf(err error) int {
	switch {
	case errors.Is(err, token.ErrUnknownKey), errors.Is(err, token.ErrSignature), check.Undecided(err):
		return 1
	case errors.Is(err, token.ErrAudience):
		return 2
	case errors.Is(err, token.ErrLifetime), errors.Is(err, token.ErrNotYet), errors.Is(err, token.ErrExpired), errors.Is(err, token.ErrID):
		return 3
	case errors.Is(err, token.ErrBody):
		return 4
	}
	return 0
}

// call verifies the token of a call as of its own time of issue; that it was accepted then shows only a receipt.
func (s *batch) call(compact string) (done check.Steps) {
	c, _ := readClaims(compact) // what cannot be read, token.Verify names
	audience := s.gateway
	if audience == "" {
		audience = c.Audience
	}
	var undecided error // the gateway's verifier, which has no budget, tells nobody why a signature does not hold
	verifySM2 := func(pub *ecdsa.PublicKey, message, rs []byte) error {
		err := s.verifySM2(pub, message, rs)
		if check.Undecided(err) {
			undecided = err
		}
		return err
	}
	_, err := token.Verify(s.ctx, compact, token.Expect{
		Audience: audience, Method: c.Method, URL: c.URL, Body: token.BodyIs(s.bodyOf(c)), Now: time.Unix(c.IssuedAt, 0),
		KeyOf: s.callerKey, Verify: verifySM2,
	})
	if err != nil && undecided == nil {
		undecided = sm.Interrupted(s.ctx)
	}
	if undecided != nil {
		err = undecided
	}
	failed := len(callSteps)
	if err != nil {
		failed = stepOf(err)
	}
	for i, name := range callSteps {
		switch {
		case i == failed:
			done.Result(name, err)
		case i > failed:
			done.CannotCheck(name, "a step before it failed")
		case name == "call-audience" && s.gateway == "":
			done.CannotCheck(name, "the trust names no gateway")
		case name == "call-body" && !s.bodies[c.Body]:
			done.CannotCheck(name, "the body is not at hand")
		default:
			done.Pass(name, "")
		}
	}
	s.callActor(&done, c, err == nil)
	s.accepted(&done, compact)
	return done
}

// bodyOf is the digest that the call must have: its own where some artefact is that body or nothing could be it, else that
// of the one body at hand, so that a body changed by a byte is noticed.
func (s *batch) bodyOf(c token.Claims) string {
	if s.bodies[c.Body] || c.Body == token.BodyDigest(nil) || len(s.calls) != 1 || len(s.unmatchedBodies) != 1 {
		return c.Body
	}
	return s.unmatchedBodies[0]
}

// accepted looks for the receipt of a call.
func (s *batch) accepted(done *check.Steps, compact string) {
	digest := sm.DigestB64([]byte(compact))
	if slices.ContainsFunc(s.answers, func(a answered) bool { return a.record.TokenDigest == digest }) {
		done.Pass("call-recorded", "a receipt at hand is of this call")
		return
	}
	done.CannotCheck("call-recorded", "no receipt at hand is of this call")
}

// body says whether a body is of a call at hand.
func (s *batch) body(data []byte) (done check.Steps) {
	switch {
	case s.isBody(data):
		done.Pass("body-of-call", "")
	case len(s.calls) > 0:
		done.Fail("body-of-call", "no call at hand is of this body")
	default:
		done.CannotCheck("body-of-call", "the call is not at hand")
	}
	return done
}

// certificates verifies every certificate of a file, each with the help of the others and of those among the artefacts. A chain
// begins with its leaf; the others stand under certificate[1] and so on, for one that nobody needs could be anything.
func (s *batch) certificates(data []byte) (done check.Steps) {
	certs, err := readCertificates(data)
	if err != nil {
		done.Fail("certificate-form", err.Error())
		return done
	}
	done = s.certificate(certs[0], certs[1:])
	for i, c := range certs[1:] {
		if s.ctx.Err() != nil {
			break
		}
		done.Under(fmt.Sprintf("certificate[%d]", i+1), s.certificate(c, certs))
	}
	return done
}

// certificate verifies one certificate; above are those that may stand above it.
func (s *batch) certificate(leaf *pki.Certificate, above []*pki.Certificate) (done check.Steps) {
	done.Pass("certificate-form", "")
	if slices.ContainsFunc(s.anchors, leaf.Equal) {
		done.Pass("anchor", "the trust pins this certificate")
		return done
	}
	if leaf.IsCA {
		path, err := s.authorityChain(leaf, above)
		done.Result("chain-now", err)
		if err != nil {
			done.CannotCheck("key-revocation", "the certificate leads to no anchor")
			return done
		}
		revoked := revocation.Sum(revocation.Check(s.ctx, path, s.now(), s.evidence))
		revoked.Name = "key-revocation"
		return append(done, revoked)
	}
	chain := s.chainOf(leaf, above)
	by, usage, err := s.usageOf(chain)
	if err == nil && usage != "" {
		_, err = by.Chain(leaf, chain[1:], s.now(), usage)
	}
	done.Result("chain-now", pathError(err))
	switch {
	case err == nil && usage == "":
		done.CannotCheck("key-usage", "the certificate does not say what its key is for, where those of its anchor say it")
	case err == nil:
		done.Pass("key-usage", usage)
	case pathError(err) == nil:
		done.Fail("key-usage", err.Error())
	}
	stood := s.revocationAt(s.ctx, by, nil, chain, s.now()).Step
	stood.Name = "key-revocation"
	return append(done, stood)
}

// usageOf is what the certificate at the foot of a chain is for, and the verifier whose anchors count for that.
func (s *batch) usageOf(chain []*pki.Certificate) (by *pki.Verifier, usage string, err error) {
	for _, v := range []*pki.Verifier{s.chains, s.seals, s.stamps} {
		leaf, failed := v.Describe(chain[0], chain[1:], s.now())
		if failed == nil && s.verifierFor(leaf.Usage) == v {
			return v, leaf.Usage, nil
		}
		if failed == nil {
			failed = pki.ErrUnknownAnchor // its usage is none that those anchors are for
		}
		if err == nil || errors.Is(err, pki.ErrUnknownAnchor) {
			by, err = v, failed
		}
	}
	return by, "", err
}

// verifierFor is the verifier whose anchors count for a usage.
func (s *batch) verifierFor(usage string) *pki.Verifier {
	switch usage {
	case pki.Seal, pki.SealMaker:
		return s.seals
	case pki.TimeStamp:
		return s.stamps
	}
	return s.chains
}

// readCertificates reads PEM, or one certificate in DER.
func readCertificates(data []byte) ([]*pki.Certificate, error) {
	if len(data) > 0 && data[0] == tagSequence {
		c, err := pki.ParseForeign(data)
		if err != nil {
			return nil, err
		}
		return []*pki.Certificate{c}, nil
	}
	return pki.ParsePEM(data)
}

// authorityChain checks an authority's own certificate: signed by an anchor, or by an authority above it that is. above came along
// with it.
func (s *batch) authorityChain(c *pki.Certificate, above []*pki.Certificate) (path []*pki.Certificate, err error) {
	chain := s.chainOf(c, above)
	for _, by := range []*pki.Verifier{s.chains, s.seals, s.stamps} { // each knows other anchors
		if path, err = by.Authority(c, chain[1:], s.now()); err == nil || check.Undecided(err) {
			break
		}
	}
	return path, err
}

// key says whether a key file is one that the trust names.
func (s *batch) key(data []byte) (done check.Steps) {
	id := strings.TrimSpace(string(data))
	if block, _ := pem.Decode(data); block != nil {
		key, err := sm.ParsePEM(data)
		if err != nil {
			done.Fail("key-form", err.Error())
			return done
		}
		id = string(sm.MarshalPoint(key))
	}
	if owner := s.keys[id]; owner != "" {
		done.Pass("key-in-trust", owner)
		return done
	}
	done.Fail("key-in-trust", "the trust does not name this key")
	return done
}
