package intake

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/certs/token"
)

// Why a key of a KeyFinder verifies nothing now.
var (
	ErrNotYetCertified    = errors.New("the key's certificate is not valid yet")
	ErrCertificateExpired = errors.New("the key's certificate has expired")
)

// Unauthenticated refuses a caller who did not prove who they are: counted and rate-limited, never recorded.
type Unauthenticated struct{ Code string } // of a problem

func (u *Unauthenticated) Error() string { return "unauthenticated caller: " + u.Code }

// A KeyFinder finds the registered key of a system. Errors: fs.ErrNotExist, ErrNotYetCertified, ErrCertificateExpired.
type KeyFinder func(system, kid string, now time.Time) (*ecdsa.PublicKey, error)

// A Call is a signed call whose caller is authenticated and whose id is claimed.
type Call struct {
	Claims *token.Claims
	Key    *ecdsa.PublicKey // that verified the token
	Token  string
	Body   []byte
	Now    time.Time // that the token was verified at
}

// Open authenticates the caller of a request that Arrive has returned, and claims the call's id. Method, URL and body are
// compared with what the token signs; nothing else of the request is trusted. Cheap checks come before expensive ones: the
// signature of a registered key, then the call's id and the system's limits, then the body, whose digest is compared last.
// Errors: *Unauthenticated, *Limited; any other is an internal one. After an error the id is not claimed.
func (in *Intake) Open(ctx context.Context, r *http.Request, keys KeyFinder) (_ Call, err error) {
	compact, err := bearer(r)
	if err != nil {
		return Call{}, err
	}
	o := &opening{in: in, r: r, arrival: r.Body.(*arrival), keys: keys, now: in.Now()}
	defer func() { o.done(err) }()
	claims, err := token.Verify(ctx, compact, token.Expect{
		Audience: in.Audience,
		Method:   r.Method,
		URL:      in.PublicURL + signedTarget(r),
		Body:     o.readBody,
		Now:      o.now,
		KeyOf:    o.findKey,
		Verify: func(pub *ecdsa.PublicKey, message, rs []byte) error {
			leave, err := in.failures.enter(ctx, o.failure, o.now)
			if err != nil {
				o.crowded = err
				return err
			}
			defer leave()
			return in.VerifySM2(pub, message, rs)
		},
		Claimed: func(iss, jti string) error {
			if in.replays.taken(callID{iss, jti}) {
				return &Unauthenticated{"token-replayed"}
			}
			return nil
		},
		Admit: o.admit,
	})
	switch {
	case o.crowded != nil:
		return Call{}, o.crowded
	case errors.As(err, new(*Unauthenticated)), errors.As(err, new(*Limited)):
		return Call{}, err
	case err != nil:
		return Call{}, tokenProblem(err)
	}
	return Call{Claims: claims, Key: o.key, Token: compact, Body: o.body, Now: o.now}, nil
}

// An opening is the state of one Open.
type opening struct {
	in      *Intake
	r       *http.Request
	arrival *arrival
	keys    KeyFinder
	now     time.Time

	key     *ecdsa.PublicKey
	body    []byte
	failure failureKey // zero until a registered key is named
	claimed *callID
	crowded error // the signature was not checked: too many fail
}

func (o *opening) findKey(iss, kid string) (_ *ecdsa.PublicKey, err error) {
	if o.key, err = o.keys(iss, kid, o.now); err == nil {
		o.failure = failureKey{network: o.in.ClientNetwork(o.r), key: iss + " " + kid}
	}
	return o.key, err
}

// admit claims the call's id, then applies the system's limits.
func (o *opening) admit(c *token.Claims) error {
	id := callID{c.Issuer, c.ID}
	if !o.in.replays.take(id, time.Unix(c.Expires, 0).Add(2*token.Skew), o.now) {
		return &Unauthenticated{"token-replayed"}
	}
	o.claimed = &id
	return o.arrival.admit(c.Issuer, o.now)
}

// readBody reads at most the operation's limit. A longer body cannot be compared with its digest, so its caller stays
// unauthenticated.
func (o *opening) readBody() (digest string, err error) {
	most := o.arrival.most
	if o.r.ContentLength > int64(most) {
		return "", &Unauthenticated{"too-large"}
	}
	o.body, err = readAll(io.LimitReader(o.r.Body, int64(most)+1))
	switch {
	case errors.As(err, new(*Limited)):
		return "", err
	case errors.As(err, new(*http.MaxBytesError)), len(o.body) > most:
		return "", &Unauthenticated{"too-large"}
	case err != nil:
		return "", &Unauthenticated{"body-unreadable"}
	}
	return token.BodyDigest(o.body), nil
}

// done gives the call's id back after an error, and counts a token that authenticated nobody.
func (o *opening) done(err error) {
	if err != nil && o.claimed != nil {
		o.in.replays.release(*o.claimed)
	}
	if o.failure.key != "" && errors.As(err, new(*Unauthenticated)) && o.crowded == nil {
		o.in.failures.failed(o.failure, o.in.Now())
	}
}

// bearer returns the one token of a request; the scheme's name is case-insensitive (RFC 9110 section 11.1).
func bearer(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", &Unauthenticated{"token-missing"}
	}
	scheme, compact, ok := strings.Cut(headers[0], " ")
	switch {
	case !ok || !strings.EqualFold(scheme, "Bearer"):
		return "", &Unauthenticated{"token-missing"}
	case len(compact) > token.MaxSize:
		return "", &Unauthenticated{"token-too-large"}
	}
	return compact, nil
}

// signedTarget is the path and query as they came over the wire: the escaped path and, if there is one, the raw query. The
// Host header has no part in it.
func signedTarget(r *http.Request) string {
	target := r.URL.EscapedPath()
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		target += "?" + r.URL.RawQuery
	}
	return target
}

// readAll is io.ReadAll for large bodies: what was read is copied once, not each time that a buffer is full. A body that is
// cut off may end without an error; its digest tells.
func readAll(r io.Reader) ([]byte, error) {
	first, err := io.ReadAll(io.LimitReader(r, api.MaxBody))
	if err != nil || len(first) < api.MaxBody {
		return first, err
	}
	chunks := [][]byte{first}
	for {
		chunk := make([]byte, 64<<10)
		n, err := io.ReadFull(r, chunk)
		chunks = append(chunks, chunk[:n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return slices.Concat(chunks...), nil
		case err != nil:
			return nil, err
		}
	}
}

// tokenProblem turns a verifier's error into the code that the caller may see.
func tokenProblem(err error) error {
	switch code := token.Code(err); {
	case code != "":
		return &Unauthenticated{code}
	case errors.Is(err, ErrCertificateExpired):
		return &Unauthenticated{"certificate-expired"}
	case errors.Is(err, ErrNotYetCertified):
		return &Unauthenticated{"certificate-not-yet-valid"}
	}
	return fmt.Errorf("verify token: %w", err)
}
