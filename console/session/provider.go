package session

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/theory/jsonpath"

	"oncegate/fault"
)

// A Provider is an identity provider (身份认证平台) through which people sign in: OpenID Connect, or an exchange of a code or ticket for a
// token and the user's data that is described in data. A 智能密码钥匙 (UKey) is the provider's matter: it asks for it, and says with its level that
// it did.
type Provider struct {
	ID      string `yaml:"id"`               // in addresses: 1 to 64 letters, digits, dots, underscores and hyphens
	Name    string `yaml:"name"`             // shown on the sign-in page
	Service string `yaml:"identity_service"` // id of the identity service whose word it is: records name it (operator_proof session)
	Client  string `yaml:"client_id"`        // what the provider calls this gateway

	// SecretFile is the file with the secret that the provider gave out with ClientID, or SecretEnv the environment variable. Both empty: a
	// public client, with PKCE alone.
	SecretFile string `yaml:"client_secret_file"`
	SecretEnv  string `yaml:"client_secret_env"`

	Issuer   string    `yaml:"issuer"`   // OpenID Connect: the issuer, under which its description is found (discovery); or
	Exchange *Exchange `yaml:"exchange"` // another exchange
	Scopes   []string  `yaml:"scopes"`   // OpenID Connect: asked for besides openid
	// NoAuthTime says of an OpenID provider that it does not say when the person signed in (auth_time), although it must. Whether it asked the
	// person for this sign-in is then not known: pages that need the second factor again do not open.
	NoAuthTime bool `yaml:"no_auth_time"`

	Person Claims     `yaml:"person"` // where the person stands in the provider's answer
	Roles  []RoleRule `yaml:"roles"`  // what of it gives which role
}

// Claims are JSONPaths (RFC 9535) of what the provider says of a person: of the ID token's claims together with the user info's, or of the last
// answer of an Exchange.
type Claims struct {
	ID            string   `yaml:"id"`              // the person's code, as identity services give it; must be there
	Name          string   `yaml:"name"`            // shown on pages
	Roles         string   `yaml:"roles"`           // selects texts, or texts with commas between roles
	Organisation  string   `yaml:"organisation"`    // of the person; may be empty
	Level         string   `yaml:"level"`           // of the authentication, such as L3; may be empty
	Levels        []string `yaml:"levels"`          // which levels are enough; empty: any
	SkipUserInfo  bool     `yaml:"skip_userinfo"`   // OpenID Connect: the ID token says everything
	RolesSplitter string   `yaml:"roles_separator"` // between roles in one text; default ","
}

// A RoleRule gives a role to whom the provider describes so. Empty Is or Organisation is anybody's.
type RoleRule struct {
	Is           string `yaml:"is"`           // one of the provider's roles
	Organisation string `yaml:"organisation"` // and this organisation
	Role         string `yaml:"role"`
	Hall         string `yaml:"hall"` // id of its system
}

// An Exchange describes how a provider that speaks no OpenID Connect is asked: the browser is sent to Authorize, comes back with a code or
// ticket, which buys a token, which buys the user's data.
//
// Texts of parameters may hold $client_id, $client_secret, $redirect_uri, $state, $challenge and $verifier (PKCE, S256), $code, $token, $time
// (yyyyMMddHHmmss, in China's time), $seconds, $millis, $random and $signature, each in every step that has it. $$ is a dollar.
type Exchange struct {
	Authorize Step `yaml:"authorize"` // address and query of the provider's sign-in page
	// Again are further parameters of Authorize that make the provider ask the person although it knows the browser. Without them nothing
	// shows that the person is there: who finds a browser that the provider still knows can sign in as the person before, and pages that need
	// the second factor again do not open.
	Again    map[string]string `yaml:"again"`
	Code     string            `yaml:"code"`     // parameter of the callback that brings the code or ticket; default code
	State    string            `yaml:"state"`    // parameter of the callback that brings $state back; default state
	Refused  string            `yaml:"refused"`  // parameter of the callback that says that the person did not sign in; default error
	Token    Step              `yaml:"token"`    // buys a token for the code
	UserInfo Step              `yaml:"userinfo"` // buys the user's data for the token
}

// A Step is one request of an exchange.
type Step struct {
	URL     string            `yaml:"url"`
	Method  string            `yaml:"method"`  // GET (default) or POST
	Query   map[string]string `yaml:"query"`   // parameters of the address
	Form    map[string]string `yaml:"form"`    // body of a POST, as a form; or
	JSON    map[string]string `yaml:"json"`    // body of a POST, as a JSON object of texts
	Headers map[string]string `yaml:"headers"` //
	Sign    Signature         `yaml:"sign"`    // $signature
	OK      Outcome           `yaml:"ok"`      // what the answer says when it worked, besides status 200
	Take    string            `yaml:"take"`    // token: JSONPath of the token in the answer
}

// A Signature is how a provider wants requests signed with the client's secret. md5 is what some still demand; nothing of ours rests on it.
type Signature struct {
	Algorithm string `yaml:"algorithm"` // md5, sha256, sm3: a digest over Over; hmac-sha256, hmac-sm3: keyed with the client's secret
	Over      string `yaml:"over"`      // such as "$client_id$client_secret$time"
}

// An Outcome is a member of an answer that says whether it worked.
type Outcome struct {
	At string   `yaml:"at"` // JSONPath; empty: status 200 is enough
	Is []string `yaml:"is"` // values of success; numbers and true as they are written
}

var (
	idForm        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	parameterForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// maxRules bounds the rules of roles.
const maxRules = 1000

func (p Provider) check(s Settings, known Known) (f fault.List) {
	f.Unless(idForm.MatchString(p.ID), "$.id", "the id is required: 1 to 64 letters, digits, dots, underscores and hyphens")
	f.Unless(shown(p.Name), "$.name", "a name of 1 to %d bytes is expected", maxName)
	service, there := known.Services[p.Service]
	f.Unless(there, "$.identity_service", "there is no identity service %q", fault.Clip(p.Service))
	f.Unless(p.Client != "", "$.client_id", "what the provider calls this gateway is missing")
	f.Unless(p.SecretFile == "" || p.SecretEnv == "", "$.client_secret_file", "say either client_secret_file or client_secret_env")
	switch {
	case (p.Issuer == "") == (p.Exchange == nil):
		f.Add("$", "say either issuer (OpenID Connect) or exchange")
	case p.Exchange != nil:
		f.Under("$.exchange", p.Exchange.check())
		f.Unless(len(p.Scopes) == 0, "$.scopes", "scopes are of OpenID Connect")
	default:
		f.Unless(safeURL(p.Issuer), "$.issuer", "an https address is expected; http is for loopback only")
	}
	f.Under("$.person", p.Person.check())
	f.Unless(len(p.Roles) > 0 && len(p.Roles) <= maxRules, "$.roles", "1 to %d rules say what of the provider's words gives which role", maxRules)
	together := map[[2]string][]Assignment{}
	for i, r := range p.Roles {
		at := fmt.Sprintf("$.roles[%d]", i)
		h, ok := s.Hall(r.Hall)
		f.Unless(ok, at+".hall", "there is no hall %q", fault.Clip(r.Hall))
		f.Unless(!ok || slices.Contains(h.Roles, r.Role), at+".role", "hall %s has no role %q", fault.Clip(r.Hall), fault.Clip(r.Role))
		f.Unless(!ok || !there || slices.Contains(service, r.Hall), at+".hall", "identity service %s may not speak for system %s: name the system under its systems", p.Service, fault.Clip(r.Hall))
		f.Unless(r.Is == "" || p.Person.Roles != "", at+".is", "the provider's roles are nowhere looked for: person.roles is empty")
		f.Unless(r.Organisation == "" || p.Person.Organisation != "", at+".organisation", "the provider's organisation is nowhere looked for: person.organisation is empty")
		key := [2]string{r.Is, r.Organisation}
		together[key] = append(together[key], Assignment{Role: r.Role, Hall: r.Hall})
		if one, other, found := ConflictOf(together[key], func(hall string) string { return known.Departments[hall] }); found {
			f.Add(at, "%s: nobody may be %s (%s) and %s (%s) at once (separation of duties)", "rule", one.Role, one.Hall, other.Role, other.Hall)
		}
	}
	return f
}

func (c Claims) check() (f fault.List) {
	f.Unless(c.ID != "", "$.id", "say where the person's code stands, such as $.sub")
	for key, path := range map[string]string{"id": c.ID, "name": c.Name, "roles": c.Roles, "organisation": c.Organisation, "level": c.Level} {
		f.Unless(path == "" || isPath(path), "$."+key, "%q is no JSONPath (RFC 9535), such as $.data.user.id", fault.Clip(path))
	}
	f.Unless(len(c.Levels) == 0 || c.Level != "", "$.levels", "say where the level stands (level)")
	return f
}

func isPath(path string) bool {
	_, err := jsonpath.Parse(path)
	return err == nil && len(path) <= 512
}

func (e Exchange) check() (f fault.List) {
	f.Under("$.authorize", e.Authorize.check("client_id", "client_secret", "redirect_uri", "state", "challenge", "time", "seconds", "millis", "random", "signature"))
	f.Unless(e.Authorize.Method == "" && e.Authorize.Form == nil && e.Authorize.JSON == nil && e.Authorize.Headers == nil && e.Authorize.OK.At == "" && e.Authorize.Take == "", "$.authorize", "the browser goes there: an address and a query is all it can have")
	f.Unless(mentions(e.Authorize.Query, "state"), "$.authorize.query", "no parameter sends $state, so that a sign-in could be put into another browser")
	f.Under("$.again", Step{URL: e.Authorize.URL, Query: e.Again}.check())
	if len(e.Again) == 0 {
		f.Warn("$.again", "the provider is not told to ask the person again: while it knows a browser, whoever sits there signs in as the person before, and pages that need the second factor again do not open")
	}
	for key, name := range map[string]string{"code": e.Code, "state": e.State, "refused": e.Refused} {
		f.Unless(name == "" || parameterForm.MatchString(name), "$."+key, "the name of a parameter is expected")
	}
	in := []string{"client_id", "client_secret", "redirect_uri", "verifier", "code", "time", "seconds", "millis", "random", "signature"}
	f.Under("$.token", e.Token.check(in...))
	f.Unless(e.Token.Take != "" && isPath(e.Token.Take), "$.token.take", "%q is no JSONPath (RFC 9535), such as $.data.user.id", fault.Clip(e.Token.Take))
	f.Under("$.userinfo", e.UserInfo.check(append(in, "token")...))
	return f
}

// mentions reports whether a variable stands in one of the texts.
func mentions(texts map[string]string, name string) bool {
	for _, text := range texts {
		for _, v := range variables(text) {
			if v == name {
				return true
			}
		}
	}
	return false
}

var variable = regexp.MustCompile(`\$(\$|[a-z_]+)`)

func variables(text string) (names []string) {
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

func (s Step) check(known ...string) (f fault.List) {
	f.Unless(safeURL(s.URL), "$.url", "an https address is expected; http is for loopback only")
	f.Unless(slices.Contains([]string{"", "GET", "POST"}, s.Method), "$.method", "GET or POST is expected")
	f.Unless(s.Form == nil || s.JSON == nil, "$.form", "a body is a form or JSON")
	f.Unless(s.Method == "POST" || s.Form == nil && s.JSON == nil, "$.method", "a body is sent with POST")
	texts := map[string]map[string]string{"query": s.Query, "form": s.Form, "json": s.JSON, "headers": s.Headers, "sign": {"over": s.Sign.Over}}
	for key, one := range texts {
		for name, text := range one {
			f.Unless(name != "" && len(name) <= 64 && len(text) <= 2048, "$."+key, "a name has 1 to 64 bytes and a text at most 2048")
			for _, v := range variables(text) {
				f.Unless(v == "$" || slices.Contains(known, v) && (key != "sign" || v != "signature"), "$."+key, "there is no $%s here; known are $%s", v, strings.Join(known, ", $"))
			}
		}
	}
	signs := s.Sign.Algorithm != "" || s.Sign.Over != ""
	f.Unless(!signs || signatures[s.Sign.Algorithm] != nil && s.Sign.Over != "", "$.sign", "a signature has an algorithm (md5, sha256, sm3, hmac-sha256 or hmac-sm3) and what it is over")
	if !signs {
		f.Unless(!mentions(s.Query, "signature") && !mentions(s.Form, "signature") && !mentions(s.JSON, "signature") && !mentions(s.Headers, "signature"), "$.sign", "$signature is used, and sign does not say how it is made")
	}
	f.Unless(s.OK.At == "" || isPath(s.OK.At) && len(s.OK.Is) > 0, "$.ok", "say by a JSONPath where the answer says that it worked, and which values do (is)")
	return f
}

// safeURL accepts https addresses, and http ones of loopback.
func safeURL(text string) bool {
	if !absolute(text) {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "https" {
		return err == nil
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
