package client

import (
	"crypto/ecdsa"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/note"

	"oncegate/audit"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/certs/statuslist"
	"oncegate/certs/token"
)

// publicKey is the SM2 key of a certificate.
func publicKey(c *pki.Certificate) (*ecdsa.PublicKey, error) {
	pub, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || sm.CheckPublicKey(pub) != nil {
		return nil, errors.New("the certificate's key is no SM2 key")
	}
	return pub, nil
}

// readClaims reads a call's claims without believing them.
func readClaims(compact string) (c token.Claims, err error) {
	parts, err := jws.Split(compact, token.MaxSize)
	if err != nil {
		return c, err
	}
	err = json.Unmarshal(parts.Payload, &c)
	return c, err
}

// callSteps are the steps of a call, in the order in which its faults are found.
var callSteps = []string{"call-form", "call-signature", "call-audience", "call-window", "call-body"}

// stepOf says which step a fault of a call fails.
func stepOf(err error) int {
	switch {
	case errors.Is(err, token.ErrUnknownKey), errors.Is(err, token.ErrSignature), sm.Undecided(err):
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
func (s *sheaf) call(compact string) (done steps) {
	c, err := readClaims(compact)
	if err == nil {
		audience := s.gateway
		if audience == "" {
			audience = c.Audience
		}
		var undecided error // the gateway's verifier, which has no budget, tells nobody why a signature does not hold
		voice := func(pub *ecdsa.PublicKey, message, rs []byte) error {
			err := s.voice(pub, message, rs)
			if sm.Undecided(err) {
				undecided = err
			}
			return err
		}
		_, err = token.Verify(s.ctx, compact, token.Expect{
			Audience: audience, Method: c.Method, URL: c.URL, Body: token.BodyIs(s.bodyOf(c)), Now: time.Unix(c.IssuedAt, 0),
			KeyOf: s.callerKey, Verify: voice,
		})
		if undecided != nil {
			err = undecided
		}
	}
	failed := len(callSteps)
	if err != nil {
		failed = stepOf(err)
	}
	for i, name := range callSteps {
		switch {
		case i == failed:
			done.result(name, err)
		case i > failed:
			done.unknown(name, "a step before it failed")
		case name == "call-audience" && s.gateway == "":
			done.unknown(name, "the trust names no gateway")
		case name == "call-body" && !s.bodies[c.Body]:
			done.unknown(name, "the body is not at hand")
		default:
			done.ok(name, "")
		}
	}
	s.accepted(&done, compact)
	return done
}

// bodyOf is the digest that the call must have: its own where some artefact is that body or nothing could be it, else that
// of the one body at hand, so that a body changed by a byte is noticed.
func (s *sheaf) bodyOf(c token.Claims) string {
	if s.bodies[c.Body] || c.Body == token.BodyDigest(nil) || len(s.calls) != 1 || len(s.loose) != 1 {
		return c.Body
	}
	return s.loose[0]
}

// accepted looks for the receipt of a call.
func (s *sheaf) accepted(done *steps, compact string) {
	digest := sm.DigestB64([]byte(compact))
	if slices.ContainsFunc(s.answers, func(a answered) bool { return a.record.TokenDigest == digest }) {
		done.ok("call-recorded", "a receipt at hand is of this call")
		return
	}
	done.unknown("call-recorded", "no receipt at hand is of this call")
}

// body says whether a body is of a call at hand.
func (s *sheaf) body(data []byte) (done steps) {
	switch {
	case s.isBody(data):
		done.ok("body-of-call", "")
	case len(s.calls) > 0:
		done.fail("body-of-call", "no call at hand is of this body")
	default:
		done.unknown("body-of-call", "the call is not at hand")
	}
	return done
}

// certificate verifies a chain, leaf first, with the help of other certificates among the artefacts.
func (s *sheaf) certificate(data []byte) (done steps) {
	certs, err := readCertificates(data)
	if err != nil {
		done.fail("certificate-form", err.Error())
		return done
	}
	done.ok("certificate-form", "")
	leaf := certs[0]
	if slices.ContainsFunc(s.anchors, leaf.Equal) {
		done.ok("anchor", "the trust pins this certificate")
		return done
	}
	if leaf.IsCA {
		done.result("chain-now", s.authorityChain(leaf, certs[1:]))
		return done
	}
	usage := strings.Join(leaf.Subject.OrganizationalUnit, "+")
	if known, ok := s.known[pki.Fingerprint(leaf)]; ok {
		usage = known.Usage
	}
	by, chain := s.verifierFor(usage), s.chainOf(leaf, certs[1:])
	_, err = by.Chain(leaf, chain[1:], s.now(), usage)
	done.result("chain-now", pathError(err))
	if err == nil {
		done.ok("key-usage", usage)
	} else if pathError(err) == nil {
		done.fail("key-usage", err.Error())
	}
	stood := s.stood(s.ctx, by, nil, chain, s.now()).Step
	stood.Name = "key-revocation"
	return append(done, stood)
}

// verifierFor is the verifier whose anchors count for a usage.
func (s *sheaf) verifierFor(usage string) *pki.Verifier {
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
func (s *sheaf) authorityChain(c *pki.Certificate, above []*pki.Certificate) error {
	chain := s.chainOf(c, above)
	var err error
	for _, by := range []*pki.Verifier{s.chains, s.seals, s.stamps} { // each knows other anchors
		if err = by.Authority(c, chain[1:], s.now()); err == nil || sm.Undecided(err) {
			break
		}
	}
	return err
}

// key says whether a key file is one that the trust names.
func (s *sheaf) key(data []byte) (done steps) {
	id := strings.TrimSpace(string(data))
	if block, _ := pem.Decode(data); block != nil {
		key, err := sm.ParsePEM(data)
		if err != nil {
			done.fail("key-form", err.Error())
			return done
		}
		id = string(sm.MarshalPoint(key))
	}
	if owner := s.keys[id]; owner != "" {
		done.ok("key-in-trust", owner)
		return done
	}
	done.fail("key-in-trust", "the trust does not name this key")
	return done
}

// readList reads a status list and believes it if its key leads to an anchor and is for status lists.
func (s *sheaf) readList(data []byte) (list *listStatus, uri string) {
	compact := strings.TrimSpace(string(data))
	parts, err := jws.Split(compact, statuslist.MaxSize)
	if err != nil {
		return &listStatus{err: err}, ""
	}
	var c struct {
		Subject  string `json:"sub"`
		IssuedAt int64  `json:"iat"`
	}
	if err := json.Unmarshal(parts.Payload, &c); err != nil || c.Subject == "" {
		return &listStatus{err: statuslist.ErrToken}, ""
	}
	list = new(listStatus)
	list.token, list.err = statuslist.Verify(compact, c.Subject, s.now(), s.listSigner(s.now()))
	if errors.Is(list.err, statuslist.ErrExpired) || errors.Is(list.err, statuslist.ErrSignature) && time.Unix(c.IssuedAt, 0).Before(s.now()) {
		// Years later it still says what was true in its time.
		if then, err := statuslist.Verify(compact, c.Subject, time.Unix(c.IssuedAt, 0), s.listSigner(time.Unix(c.IssuedAt, 0))); err == nil {
			list.token, list.err = then, statuslist.ErrExpired
		}
	}
	return list, c.Subject
}

// listSigner finds the key of a status list as of a moment.
func (s *sheaf) listSigner(at time.Time) func(*jws.Parts) error {
	return func(p *jws.Parts) error {
		leaf, err := s.chains.ChainDER(p.Header.X5C, at, pki.Status)
		if err != nil {
			return err
		}
		return p.Verify(leaf.Public, s.voice)
	}
}

// statusList verifies a status list alone.
func (s *sheaf) statusList(data []byte) (done steps) {
	list, _ := s.readList(data)
	err := list.err
	for _, step := range []struct {
		name   string
		faults []error
	}{
		{"status-list-form", []error{statuslist.ErrToken, statuslist.ErrForm, jws.ErrForm, jws.ErrDuplicate, jws.ErrCrit}},
		{"status-list-signature", []error{statuslist.ErrSignature}},
		{"status-list-validity", []error{statuslist.ErrExpired, statuslist.ErrNotYet}},
	} {
		mine := slices.ContainsFunc(step.faults, func(f error) bool { return errors.Is(err, f) })
		switch {
		case sm.Undecided(err):
			done.unknown(step.name, err.Error())
		case mine:
			done.fail(step.name, err.Error())
		case err != nil:
			done.unknown(step.name, "another step failed")
		default:
			done.ok(step.name, "")
		}
	}
	if Failure(done) == nil && err != nil && !sm.Undecided(err) {
		done.fail("status-list", err.Error())
	}
	return done
}

// witness looks for a co-signature of a known witness; none is no failure.
func (s *steps) witness(checkpoint string, witnesses []note.Verifier) {
	if len(witnesses) == 0 {
		s.unknown(audit.StepWitness, "no witness is known here: unwitnessed")
		return
	}
	_, err := note.Open([]byte(checkpoint), note.VerifierList(witnesses...))
	if _, absent := errors.AsType[*note.UnverifiedNoteError](err); absent {
		s.unknown(audit.StepWitness, "no known witness has co-signed: unwitnessed")
		return
	}
	if err != nil {
		err = errors.New("a witness's line does not verify")
	}
	s.result(audit.StepWitness, err)
}
