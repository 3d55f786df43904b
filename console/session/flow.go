package session

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/gateway"
)

// A Connection is a provider with its secret and what was discovered of it. It is safe for concurrent use.
type Connection struct {
	provider Provider
	secret   string
	callback string // redirect_uri
	roles    []string
	zone     *time.Location
	client   *http.Client
	openID   openID
}

// A ConnectionConfig says how a provider is reached.
type ConnectionConfig struct {
	Provider  Provider
	Secret    string   // of the client; may be empty
	PublicURL string   // of the gateway
	Roles     []string // that the identity service may assert of a person: others of the provider's are not recorded
	Zone      *time.Location
	Transport http.RoundTripper // nil: http.DefaultTransport
}

const (
	providerWait = 10 * time.Second // for each of a provider's answers
	flowLife     = 10 * time.Minute // from leaving for the provider to coming back
)

// Connect makes a Connection. It reaches out for nothing yet.
func Connect(c ConnectionConfig) *Connection {
	return &Connection{
		provider: c.Provider, secret: c.Secret, callback: c.PublicURL + "/console/callback/" + c.Provider.ID, roles: c.Roles, zone: c.Zone,
		client: &http.Client{Timeout: providerWait, Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// Codes of what is wrong with a sign-in through a provider.
const (
	CodeProviderDown      = "provider-down"           // it does not answer
	CodeProviderAnswer    = "provider-answer"         // its answer cannot be read
	CodeProviderCode      = "provider-code-refused"   // it does not take the code: used before, expired or made up
	CodeProviderState     = "sign-in-not-begun-here"  // the callback belongs to no sign-in of this browser
	CodeProviderReplayed  = "sign-in-replayed"        // the callback was used before
	CodeProviderIssuer    = "provider-issuer"         // the ID token is of another issuer
	CodeProviderAudience  = "provider-audience"       // it is for another client
	CodeProviderNonce     = "provider-nonce"          // it is of another sign-in
	CodeProviderExpired   = "provider-expired"        // it has expired, or was not made for this sign-in
	CodeProviderSignature = "provider-signature"      // it is not signed with a key of the provider
	CodeProviderPerson    = "provider-person"         // the answer names nobody, or two persons
	CodeProviderLevel     = "provider-level-low"      // the person did not sign in with a means that is enough
	CodeProviderStale     = "provider-did-not-ask"    // the provider did not ask the person again
	CodeProviderUnknown   = "provider-not-configured" //
)

// A flow is a sign-in through a provider under way. The browser keeps it, sealed, in a cookie.
type flow struct {
	Provider string    `json:"provider"`
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	To       string    `json:"to"`
	Unlock   bool      `json:"unlock,omitempty"` // a session that is locked is to go on
	Begun    time.Time `json:"begun"`
}

var flowAAD = []byte("oncegate/console/flow")

// toProvider sends the browser to a provider, to sign in.
func (g *Gate) toProvider(w http.ResponseWriter, r *http.Request) error { return g.begin(w, r, false) }

// unlockAt sends the browser of a session to its provider, so that the person gives the second factor again.
func (g *Gate) unlockAt(w http.ResponseWriter, r *http.Request) error {
	if s := From(r.Context()); s.Provider != r.PathValue("provider") {
		return &Refusal{Code: CodeOther, Status: http.StatusForbidden}
	}
	return g.begin(w, r, true)
}

func (g *Gate) begin(w http.ResponseWriter, r *http.Request, unlock bool) error {
	c := g.Current().Providers[r.PathValue("provider")]
	if c == nil {
		return &Refusal{Code: CodeProviderUnknown, Status: http.StatusNotFound}
	}
	now := g.Now()
	f := flow{
		Provider: c.provider.ID, State: secret(), Nonce: secret(), Verifier: oauth2.GenerateVerifier(), To: g.target(r.URL.Query().Get("to")), Unlock: unlock, Begun: now,
	}
	address, err := c.address(r.Context(), now, f)
	if err != nil {
		g.metrics.signIns.WithLabelValues(c.provider.ID, outcome(err)).Inc()
		return err
	}
	content, err := json.Marshal(f)
	if err != nil {
		return err
	}
	sealed, err := g.Sealer.Seal(content, flowAAD)
	if err != nil {
		return err
	}
	g.setCookie(w, flowCookie, sm.B64(sealed), flowLife)
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

func (c *Connection) address(ctx context.Context, now time.Time, f flow) (string, error) {
	if c.provider.Exchange != nil {
		return c.exchangeAddress(now, f)
	}
	return c.openIDAddress(ctx, f)
}

// callback takes the browser back from a provider.
func (g *Gate) callback(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("provider")
	c := g.Current().Providers[id]
	if c == nil {
		return &Refusal{Code: CodeProviderUnknown, Status: http.StatusNotFound}
	}
	s, f, err := g.comeBack(r, c)
	g.dropCookie(w, flowCookie)
	if f.Unlock {
		g.metrics.unlocks.WithLabelValues(outcome(err)).Inc()
	} else {
		g.metrics.signIns.WithLabelValues(id, outcome(err)).Inc()
	}
	if err != nil {
		g.failed(r, codeOf(err))
		return err
	}
	before := From(r.Context())
	if before != nil && (f.Unlock || before.Locked) && !before.same(s) {
		return &Refusal{Code: CodeOther, Status: http.StatusForbidden}
	}
	return g.open(w, r, s, f.To)
}

// comeBack proves that a callback belongs to a sign-in of this browser, and asks the provider who signed in.
func (g *Gate) comeBack(r *http.Request, c *Connection) (*Session, flow, error) {
	ctx, now := r.Context(), g.Now()
	refuse := func(f flow, code string) (*Session, flow, error) {
		return nil, f, &Refusal{Code: code, Status: http.StatusForbidden}
	}
	var f flow
	sealed, err := sm.ParseB64(g.cookie(r, flowCookie))
	if err != nil {
		return refuse(f, CodeProviderState)
	}
	content, err := g.Sealer.Open(sealed, flowAAD)
	if err != nil || json.Unmarshal(content, &f) != nil || f.Provider != c.provider.ID {
		return refuse(flow{}, CodeProviderState)
	}
	code, state, cancelled := c.parameters(r)
	since := now.Sub(f.Begun)
	switch {
	case digest("state", state) != digest("state", f.State) || since > flowLife || since < -clockSlack:
		return refuse(f, CodeProviderState)
	case cancelled || code == "" || len(code) > 4096:
		return refuse(f, CodeCancelled)
	}
	if g.guesses.tooMany(g.address(r)) {
		return refuse(f, CodeSlow)
	}
	first, err := g.Storage.Claim(ctx, digest("state", "owner"), digest("state", f.State), f.Begun.Add(2*flowLife))
	switch {
	case err != nil:
		return nil, f, err
	case !first:
		return refuse(f, CodeProviderReplayed)
	}
	if !g.asking.Take(ctx, g.address(r)) {
		return refuse(f, CodeBusy)
	}
	defer g.asking.Give(g.address(r))
	claims, proven, err := c.ask(ctx, now, f, code)
	if err != nil {
		return nil, f, err
	}
	s, err := c.person(claims)
	if err == nil {
		err = g.admit(s.Assignments)
	}
	if err != nil {
		return nil, f, err
	}
	s.Proven = proven
	return s, f, nil
}

// parameters are what the callback brings.
func (c *Connection) parameters(r *http.Request) (code, state string, cancelled bool) {
	names := [3]string{"code", "state", "error"}
	if e := c.provider.Exchange; e != nil {
		for i, name := range []string{e.Code, e.State, e.Refused} {
			if name != "" {
				names[i] = name
			}
		}
	}
	q := r.URL.Query()
	for _, name := range names[:2] {
		if len(q[name]) > 1 { // one of them was planted
			return "", "", false
		}
	}
	return q.Get(names[0]), q.Get(names[1]), q.Has(names[2])
}

// ask asks the provider who signed in. proven is when the person proved it; zero where nobody says.
func (c *Connection) ask(ctx context.Context, now time.Time, f flow, code string) (claims any, proven time.Time, err error) {
	if c.provider.Exchange == nil {
		return c.redeem(ctx, now, f, code)
	}
	if len(c.provider.Exchange.Again) > 0 {
		proven = f.Begun
	}
	claims, err = c.exchange(ctx, now, f, code)
	return claims, proven, err
}

// person makes a session of what a provider says about somebody.
func (c *Connection) person(claims any) (*Session, error) {
	where := c.provider.Person
	id, name := strings.TrimSpace(text(claims, where.ID)), clip(text(claims, where.Name), maxName)
	if id == "" || len(id) > token.MaxText {
		return nil, &Refusal{Code: CodeProviderPerson, Status: http.StatusForbidden}
	}
	if len(where.Levels) > 0 && !slices.Contains(where.Levels, text(claims, where.Level)) {
		return nil, &Refusal{Code: CodeProviderLevel, Status: http.StatusForbidden}
	}
	separator := where.RolesSplitter
	if separator == "" {
		separator = ","
	}
	var roles, vouched []string
	for _, t := range texts(claims, where.Roles) {
		for one := range strings.SplitSeq(t, separator) {
			if one = strings.TrimSpace(one); one != "" && len(roles) < maxRules {
				roles = append(roles, one)
			}
		}
	}
	for _, r := range roles {
		if slices.Contains(c.roles, r) && len(vouched) < token.MaxRoles && !slices.Contains(vouched, r) {
			vouched = append(vouched, r)
		}
	}
	slices.Sort(vouched)
	s := &Session{
		Person:   gateway.Person{ID: id, Proof: audit.OperatorBySession, Service: c.provider.Service, Roles: vouched},
		Name:     name,
		Provider: c.provider.ID,
	}
	organisation := text(claims, where.Organisation)
	for _, rule := range c.provider.Roles {
		a := Assignment{Role: rule.Role, Hall: rule.Hall}
		if (rule.Is == "" || slices.Contains(roles, rule.Is)) && (rule.Organisation == "" || rule.Organisation == organisation) && !slices.Contains(s.Assignments, a) {
			s.Assignments = append(s.Assignments, a)
		}
	}
	return s, nil
}
