package token

import (
	"errors"

	"oncegate/certs/sm"
)

// Fault is one way a token can be wrong. Its code is stable: problem tables and metrics use it.
type Fault struct {
	Code string // such as "token-expired"
	text string
}

func (f *Fault) Error() string { return f.text }

// The faults of calls. Compare with errors.Is.
var (
	ErrMalformed    = &Fault{"token-malformed", "token is not a signed call of the agreed form"}
	ErrTooLarge     = &Fault{"token-too-large", "token is larger than 8 KiB"}
	ErrType         = &Fault{"token-bad-typ", "token header typ is not " + Type}
	ErrAlgorithm    = &Fault{"token-bad-alg", "token algorithm is not " + sm.Algorithm}
	ErrCritical     = &Fault{"token-crit-refused", "token demands critical extensions"}
	ErrDuplicate    = &Fault{"token-duplicate-claim", "token names a member twice"}
	ErrUnknownClaim = &Fault{"token-unknown-claim", "token has a claim that is not of a signed call"}
	ErrMissing      = &Fault{"token-missing-claim", "token lacks a required claim"}
	ErrUnknownKey   = &Fault{"token-unknown-key", "token key is not registered for its issuer"}
	ErrSignature    = &Fault{"token-bad-signature", "token signature does not verify under the registered key"}
	ErrAudience     = &Fault{"token-wrong-audience", "token is for another gateway"}
	ErrExpired      = &Fault{"token-expired", "token has expired"}
	ErrNotYet       = &Fault{"token-not-yet-valid", "token was issued in the future"}
	ErrLifetime     = &Fault{"token-lifetime-too-long", "token lives longer than 300 s, or not at all"}
	ErrID           = &Fault{"token-jti-malformed", "token id does not start with the time of issue (a UUIDv7 does)"}
	ErrMethod       = &Fault{"token-method-mismatch", "token is for another method"}
	ErrURL          = &Fault{"token-url-mismatch", "token is for another URL"}
	ErrBody         = &Fault{"token-body-mismatch", "token is for another body"}
)

// Faults lists every fault of calls, for tables that must have a row for each.
func Faults() []*Fault {
	return []*Fault{
		ErrMalformed, ErrTooLarge, ErrType, ErrAlgorithm, ErrCritical, ErrDuplicate, ErrUnknownClaim, ErrMissing,
		ErrUnknownKey, ErrSignature, ErrAudience, ErrExpired, ErrNotYet, ErrLifetime, ErrID, ErrMethod, ErrURL, ErrBody,
	}
}

// The faults of actor tokens, one for each class. Compare with errors.Is.
var (
	ErrActorMalformed = &Fault{"actor-token-malformed", "actor token is not of the agreed form"}
	ErrActorType      = &Fault{"actor-token-bad-typ", "actor token header typ is not " + ActorType}
	ErrActorAlgorithm = &Fault{"actor-token-bad-alg", "actor token algorithm is not " + sm.Algorithm}
	ErrActorDuplicate = &Fault{"actor-token-duplicate-claim", "actor token names a member twice"}
	ErrActorBinding   = &Fault{"actor-token-binding", "actor token is bound to both a request and a key, or to neither"}
	ErrActorService   = &Fault{"actor-token-unknown-service", "no key of the identity service is registered under this kid and valid now"}
	ErrActorSignature = &Fault{"actor-token-bad-signature", "actor token signature does not verify under the identity service's key"}
	ErrActorForeign   = &Fault{"actor-token-foreign", "actor token is for another gateway or system, or the identity service may not speak for this system"}
	ErrActorPerson    = &Fault{"actor-token-other-person", "actor token is of another person than the call's operator"}
	ErrActorLifetime  = &Fault{"actor-token-lifetime-too-long", "actor token lives longer than 300 s, or not at all"}
	ErrActorNotYet    = &Fault{"actor-token-not-yet-valid", "actor token was issued in the future"}
	ErrActorExpired   = &Fault{"actor-token-expired", "actor token has expired"}
	ErrActorRole      = &Fault{"actor-token-role-refused", "actor token asserts a role that the identity service may not assert"}
	ErrActorNotBound  = &Fault{"actor-token-not-bound", "actor token is bound to another request or key"}
)

// ActorFaults lists every fault of actor tokens, for tables that must have a row for each.
func ActorFaults() []*Fault {
	return []*Fault{
		ErrActorMalformed, ErrActorType, ErrActorAlgorithm, ErrActorDuplicate, ErrActorBinding, ErrActorService, ErrActorSignature,
		ErrActorForeign, ErrActorPerson, ErrActorLifetime, ErrActorNotYet, ErrActorExpired, ErrActorRole, ErrActorNotBound,
	}
}

// Code returns the code of the fault in err, or "" when err is no fault of a token.
func Code(err error) string {
	var f *Fault
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

const algorithm = sm.Algorithm
