package node

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/console"
	"oncegate/console/barcode"
	"oncegate/console/session"
	"oncegate/gateway"
	"oncegate/license"
	"oncegate/verdict"
)

// openConsole makes the web console, where the configuration has the section.
func (n *Node) openConsole(_ context.Context, s *config.Setup) error {
	if s.Console == nil {
		return nil
	}
	salt, err := s.Keys.Secret(keystore.Salt, "")
	if err != nil {
		return err
	}
	key := sm.HMAC(salt.Secret[:], []byte(config.ConsoleKeyLabel))
	pages, err := console.New(console.Config{
		Caller:   n.gateway,
		Snapshot: func() *gateway.Snapshot { return n.current.Load().snapshot },
		Settings: func() session.Settings { return n.current.Load().console.Settings },
		Codes:    func() console.Resolver { return n.current.Load().codes },
		Prove:    n.prove,
		Outages:  n.outages, Handled: n.handled, NewSM3: sm.New, Call: s.Limits.CallTimeout(), Logger: n.Logger, Now: n.Now,
	})
	if err != nil {
		return fmt.Errorf("open console: %w", err)
	}
	gate, err := session.New(session.Config{
		Current: func() *session.Current { return n.current.Load().console }, Pages: pages,
		Storage: n.db.Console(), Key: key[:], Sealer: n.keyring,
		Secure: s.ConsoleSecure(), Origin: s.Gateway.PublicURL,
		Record: n.recordSession, Client: n.gateway.ClientNetwork,
		Registry: n.Registry, Logger: n.Logger, Now: n.Now, Zone: license.Shanghai(),
	})
	if err != nil {
		return fmt.Errorf("open console: %w", err)
	}
	n.console = pages.Handler(gate)
	n.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "oncegate_console_sessions", Help: "Sessions of the console that have not ended, of all nodes; -1 if the database does not say.",
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		sessions, err := n.db.Console().CountSessions(ctx, n.Now())
		if err != nil {
			return -1
		}
		return float64(sessions)
	}))
	return nil
}

// outages are the sources that do not answer at present, as pages tell them.
func (n *Node) outages() (list []console.Outage) {
	for _, o := range n.gateway.Outages() {
		list = append(list, console.Outage{Department: o.Department, Since: o.Since, Until: o.Until, Why: o.Why})
	}
	for _, o := range n.gateway.Upcoming(plansTold) {
		list = append(list, console.Outage{Department: o.Department, Since: o.Since, Until: o.Until, Why: o.Why, Planned: true})
	}
	return list
}

// plansTold is how long before it begins planned maintenance is told at windows: on the same working day.
const plansTold = 12 * time.Hour

// handledEvery is how often it is counted anew how many cases a hall has handled today.
const handledEvery = time.Minute

// handledToday remembers how many cases halls have handled today (今日办理). It is a figure for people, a minute old: pages do not wait for it.
type handledToday struct {
	mu    sync.Mutex // protects what follows
	halls map[string]*handledCases
}

type handledCases struct {
	day      license.Date
	count    int
	counted  time.Time // when counting began last
	counting bool
}

// handled returns how many cases a hall has handled today, as far as it has been counted, and has it counted where that was long ago.
func (n *Node) handled(hall string) (int, bool) {
	now, today := n.Now(), license.DateOf(n.Now())
	n.today.mu.Lock()
	defer n.today.mu.Unlock()
	one := n.today.halls[hall]
	if one == nil {
		one = &handledCases{}
		if n.today.halls == nil {
			n.today.halls = make(map[string]*handledCases)
		}
		n.today.halls[hall] = one
	}
	if !one.counting && (now.Sub(one.counted) >= handledEvery || one.day != today) {
		one.counting, one.counted = true, now
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			y, m, d := now.In(license.Shanghai()).Date()
			count, err := n.db.Audit().CountCases(ctx, hall, "cases.check", time.Date(y, m, d, 0, 0, 0, 0, license.Shanghai()), now.Add(time.Minute))
			n.today.mu.Lock()
			defer n.today.mu.Unlock()
			if one.counting = false; err == nil {
				one.day, one.count = today, count
			}
		}()
	}
	return one.count, one.day == today
}

// codesOf reads scanned codes by the rules of a configuration.
func codesOf(s *config.Setup) (*barcode.Reader, error) {
	if s.Console == nil {
		return &barcode.Reader{}, nil
	}
	return barcode.NewReader(s.Console.Codes)
}

// consoleOf is what of a configuration the console needs.
func consoleOf(s *config.Setup) *session.Current {
	c := &session.Current{Departments: map[string]string{}, Accounts: s.Accounts}
	if s.Console != nil {
		c.Settings = s.Console.WithDefaults()
	}
	c.Providers = map[string]*session.Connection{}
	for _, p := range c.Settings.Providers {
		connection := session.ConnectionConfig{Provider: p, Secret: s.ProviderSecrets[p.ID], PublicURL: s.Gateway.PublicURL, Zone: license.Shanghai()}
		for _, v := range s.IdentityServices {
			if v.ID == p.Service {
				connection.Roles = v.Roles
			}
		}
		c.Providers[p.ID] = session.Connect(connection)
	}
	for _, one := range s.Systems {
		c.Departments[one.ID] = one.Department
	}
	return c
}

// isConsole reports whether a request is for the console.
func (n *Node) isConsole(r *http.Request) bool {
	return n.console != nil && strings.HasPrefix(r.URL.Path, "/console/")
}

// recordSession records that a person signed in or out at the console: a record of the gateway's own that names the system and holds the
// person as a commitment.
func (n *Node) recordSession(ctx context.Context, e session.Event) error {
	system := e.Hall
	if system == "" {
		system = n.current.Load().setup.Gateway.ID
	}
	_, err := n.recorder.Record(context.WithoutCancel(ctx), audit.Draft{
		Operation: e.Kind, System: system, Operator: e.Person.ID, OperatorProof: e.Person.Proof, OperatorRoles: e.Person.Roles, OperatorService: e.Person.Service, Policy: n.current.Load().setup.Policy.Digest(),
		Inputs: map[string]any{"means": e.Means, "how": e.How, "roles": e.Roles},
	})
	return err
}

// purgeConsole removes sessions that have ended.
func (n *Node) purgeConsole(ctx context.Context) {
	if n.console == nil {
		return
	}
	n.every(ctx, "console sessions", purgeEvery, purgeEvery, func(ctx context.Context) error {
		return n.db.Console().PurgeConsole(ctx, n.Now().Add(-time.Minute))
	})
}

// prove verifies a receipt with the trust of the configuration in force.
func (n *Node) prove(ctx context.Context, receipt []byte) verdict.Verified {
	return n.current.Load().trust.VerifyContext(ctx, verdict.Artefact{Name: "receipt", Data: receipt})[0]
}
