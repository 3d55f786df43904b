// Package config reads the configuration of a gateway from YAML files: it decodes them strictly, resolves paths, reports every fault at once
// with file, line and column, and hands out a checked Setup, which says how store, log, records, trust and sources are opened.
package config

import (
	"cmp"
	"fmt"
	"time"

	"oncegate/console/session"
)

// MainFile is the name of the main configuration file of samples and new installations.
const MainFile = "oncegate.yaml"

// A Config is the main configuration file. Relative paths are relative to the file they stand in. Unknown keys are errors.
// Secrets never stand in it: they come from files or the environment.
type Config struct {
	Include     []string     `yaml:"include"` // further files, patterns such as "departments/*.yaml" too; they may hold departments, systems, sources, assertions and identity_services, which add up
	Gateway     Gateway      `yaml:"gateway"`
	Store       Store        `yaml:"store"`
	Log         Log          `yaml:"log"`
	Keys        Keys         `yaml:"keys"`
	Trust       Trust        `yaml:"trust"`
	Timestamp   Timestamp    `yaml:"timestamp"`
	Witnesses   Witnesses    `yaml:"witnesses"`
	Departments []Department `yaml:"departments"`
	Systems     []System     `yaml:"systems"`
	Sources     []Source     `yaml:"sources"`
	Assertions  []Asserter   `yaml:"assertions"`

	IdentityServices []IdentityService `yaml:"identity_services"` // vouch for the persons who act in calling systems; without one no actor token is accepted

	Console *session.Settings `yaml:"console"` // web pages for people, under /console/; without the section there are none

	Data      Data      `yaml:"data"`
	Limits    Limits    `yaml:"limits"`
	Retention Retention `yaml:"retention"`
}

// Gateway is what the gateway is called and where it listens.
type Gateway struct {
	ID           string   `yaml:"id"`            // the audience (aud) of signed calls
	Department   string   `yaml:"department"`    // id of the department that runs it: whose code stands in the certificate of its status lists
	PublicURL    string   `yaml:"public_url"`    // what callers put before the path in htu, such as "https://gateway.example"; never taken from a Host header
	DocumentsURL string   `yaml:"documents_url"` // what the QR codes of documents open, with /v/ and the code behind it, where citizens know the gateway by another name; default public_url. It stands on paper: keep every earlier one reachable
	Listen       string   `yaml:"listen"`        // host:port of the service
	Admin        string   `yaml:"admin"`         // host:port of health, readiness, metrics and pprof; loopback unless admin_open
	AdminOpen    bool     `yaml:"admin_open"`    // allow Admin on other addresses than loopback
	TLS          TLS      `yaml:"tls"`           //
	BehindTLS    bool     `yaml:"behind_tls"`    // a proxy terminates TLS, so plain HTTP beyond loopback is meant
	ClientFrom   string   `yaml:"client_from"`   // header in which that proxy says where a call comes from, such as X-Forwarded-For: its last element; unauthenticated callers are told apart by it
	Drain        Duration `yaml:"drain"`         // at shutdown: how long /readyz says no before the listener closes, for load balancers; default 0
	Nodes        int      `yaml:"nodes"`         // how many nodes share the store; default 1
	StatusList   Duration `yaml:"status_list"`   // for how long a published status list is trusted offline, 1m to 720h: a revocation is known everywhere after it; default 24h
	CopyLife     Duration `yaml:"copy_life"`     // how long an annotated copy (加注件) may be used, 1h to 8784h; default 720h, 30 days

	AssertionLife Duration `yaml:"assertion_life"` // how long after it was signed an identity assertion may be used, 1m to 24h; default 1h
	ConsentLife   Duration `yaml:"consent_life"`   // how long after it was given a consent stands at most, 1h to 43848h; default 8784h, 366 days
}

// TLS names the server's certificate chain and key, PEM. Both empty: plain HTTP, allowed on loopback or with behind_tls.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// Store is the database.
type Store struct {
	Driver  string `yaml:"driver"`   // "sqlite" (default) or "postgres"
	Path    string `yaml:"path"`     // sqlite: the file
	DSNFile string `yaml:"dsn_file"` // postgres: a file with the connection string
	Standby bool   `yaml:"standby"`  // postgres: a synchronous standby is declared, and demanded at start
}

// Log is the transparency log.
type Log struct {
	Origin string `yaml:"origin"` // C2SP origin: the log's name, such as "gateway.example/log"
	Mark   string `yaml:"mark"`   // file outside the database that keeps the last known checkpoint
}

// Keys is the keystore.
type Keys struct {
	Dir            string `yaml:"dir"`
	PassphraseFile string `yaml:"passphrase_file"` // or
	PassphraseEnv  string `yaml:"passphrase_env"`  // name of an environment variable
}

// Trust lists the trust anchors and rules of the gateway, and of the trust folder that it hands to verifiers.
type Trust struct {
	Anchors      []string      `yaml:"anchors"`           // PEM certificates of CAs
	Seals        []string      `yaml:"seal_anchors"`      // PEM certificates of CAs, for those who make seals and who seal or sign documents only
	TimeStamps   []string      `yaml:"timestamp_anchors"` // PEM certificates of CAs, for time-stamping authorities only
	Authorities  []string      `yaml:"authorities"`       // PEM certificates of CAs below an anchor, for certificates that come without them, as in seals
	Evidence     []string      `yaml:"evidence"`          // revocation lists, OCSP answers and status lists that were kept; patterns are allowed; what speaks of our own certificates travels with the documents that they sign
	Fetch        bool          `yaml:"fetch"`             // ask the addresses in our own certificates too, for lists and OCSP answers that travel with documents
	Certificates []Certificate `yaml:"certificates"`      // code and usage of certificates of other CAs
	Usages       []UsageRule   `yaml:"usages"`            // where certificates under an anchor say what their keys are for
	Issues       []Issue       `yaml:"issues"`            // which bodies issue which types, besides what the catalogue says
	Delegations  []Delegation  `yaml:"delegations"`       // bodies that sign others' licenses
	StatusLists  []ListSigner  `yaml:"status_lists"`      // who signs the status lists of other gateways; this gateway's are its department's unless an entry for them says otherwise
	Witnesses    []string      `yaml:"witnesses"`         // C2SP vkey lines of the log's witnesses (cosignature/v1, or plain Ed25519), or files that hold one
}

// Witnesses are asked about once a minute to co-sign the log, and no answer waits for them. A checkpoint that a quorum has co-signed is
// kept: receipts of the records that it covers can then be had under it.
type Witnesses struct {
	Quorum  int       `yaml:"quorum"`  // q, how many organisations must have co-signed: more than half of the n that witness. Forks are prevented while at most m of them are false, 2q > n + m; oncegate check says m
	Members []Witness `yaml:"members"` // without any, nobody is asked
}

// A Witness co-signs the log. An organisation may run several; it counts once.
type Witness struct {
	Organization string `yaml:"organization"` // that runs it, as verifiers shall read it
	Key          string `yaml:"key"`          // its C2SP vkey line (cosignature/v1), or a file that holds it; it need not stand under trust.witnesses, too
	URL          string `yaml:"url"`          // where it is asked: /add-checkpoint is added (C2SP tlog-witness)
	BothTrees    bool   `yaml:"both_trees"`   // it proves the growth of the SM3 tree, too: oncegate witness with the log's url does; a public witness does not
}

// A UsageRule says where the certificates under an anchor say what their keys are for. Where subscribers of a CA choose their OU, the OU must not count.
type UsageRule struct {
	Anchor string            `yaml:"anchor"` // fingerprint of the anchor: SM3 of the DER, lower-case hex
	From   string            `yaml:"from"`   // ou (as everywhere else), eku or policy: the extension that is read instead
	Usages map[string]string `yaml:"usages"` // object identifier in it → usage
}

// An Issue says which bodies issue the licenses of one type.
type Issue struct {
	Type     string   `yaml:"type"`      // catalogue id
	TypeCode string   `yaml:"type_code"` // 证照类型代码 in the licenses' identifiers; empty: the catalogue's
	Issuers  []string `yaml:"issuers"`   // USCCs
}

// A ListSigner is who signs the status lists under an address.
type ListSigner struct {
	URIPrefix   string `yaml:"uri_prefix"`  // scheme, host and first path segments of the lists' addresses
	USCC        string `yaml:"uscc"`        // of the signing certificate; or
	Fingerprint string `yaml:"fingerprint"` // of that certificate: SM3 of the DER, lower-case hex
	NotAfter    string `yaml:"not_after"`   // lists issued later are not trusted: a time or a day; empty: no end but the certificate's
}

// A Certificate says about a certificate of another CA what ours say in their subjects.
type Certificate struct {
	Fingerprint string `yaml:"fingerprint"` // SM3 of the DER, lower-case hex
	USCC        string `yaml:"uscc"`
	Usage       string `yaml:"usage"` // call, license, log, seal, status or attest
}

// A Delegation lets another body sign an issuer's licenses of one type.
type Delegation struct {
	Type     string `yaml:"type"`      // catalogue id
	TypeCode string `yaml:"type_code"` // 证照类型代码 in the license's identifier; empty: the catalogue's
	Issuer   string `yaml:"issuer"`    // USCC in the license's identifier
	Delegate string `yaml:"delegate"`  // USCC of the signing certificate
}

// Timestamp is a time-stamping authority (时间戳服务器, RFC 3161). Originals are sealed with its stamp. While it is down they are sealed
// without one, and verification says that their time is not proven.
type Timestamp struct {
	URL  string   `yaml:"url"`  // of the authority, whose certificate leads to an anchor; empty: nothing is stamped
	Wait Duration `yaml:"wait"` // longest wait for one stamp, at most 10s; default 2s
}

// A Department (部门) owns sources, systems and matters.
type Department struct {
	ID         string         `yaml:"id"`
	Name       string         `yaml:"name"`
	NameEN     string         `yaml:"name_en"`
	USCC       string         `yaml:"uscc"`
	LicenseKey string         `yaml:"license_key"` // keystore key that signs its licenses: "current" (the newest of its own, by its USCC) or a key's id; empty: it issues none here
	Seal       DepartmentSeal `yaml:"seal"`        // seals the documents of its licenses; empty: they have no document form
}

// A DepartmentSeal is an electronic seal (电子印章, GB/T 38540) and who uses it.
type DepartmentSeal struct {
	Key string `yaml:"key"` // keystore key of usage seal that uses it: "current" (the newest of the department's own, by its USCC) or a key's id
	ESL string `yaml:"esl"` // the seal, as the seal maker (制章者) made it for that key's certificate: seal.esl; where it is missing init makes a throw-away one
}

// A System (业务系统) calls the gateway.
type System struct {
	ID           string   `yaml:"id"`
	Name         string   `yaml:"name"`
	Department   string   `yaml:"department"`
	Certificates []string `yaml:"certificates"` // PEM files, usage call; the key id (kid) is the file's name without extension
	Rate         float64  `yaml:"rate"`         // calls per second; default 100
	Burst        int      `yaml:"burst"`        // default 2 × rate
	Share        float64  `yaml:"share"`        // weight in what is shared out among all systems (calls under way, memory, verifications, each source's slots); default 1
}

// An Asserter is an identity service: its signed assertions prove that a holder agrees.
type Asserter struct {
	Issuer      string `yaml:"issuer"`      // iss and kid of its assertions
	Name        string `yaml:"name"`        //
	Certificate string `yaml:"certificate"` // PEM file, usage attest
}

// An IdentityService vouches for the persons who act in calling systems: it signs actor tokens (actor_token), each bound to one call or to
// the calling system's key. It is trusted for its systems and roles only. That it signs assertions of holders, too, stands under
// assertions: neither follows from the other.
type IdentityService struct {
	ID           string   `yaml:"id"`           // iss of its actor tokens
	Name         string   `yaml:"name"`         //
	Certificates []string `yaml:"certificates"` // PEM files, usage attest; the key id (kid) is the file's name without extension
	Systems      []string `yaml:"systems"`      // ids of the systems that it may speak for; no wildcard
	Roles        []string `yaml:"roles"`        // roles that it may assert of a person, at most 64 bytes each; empty: none
	Subjects     string   `yaml:"subjects"`     // type of holder code that its subjects (sub) are, such as "111", for a service by which holders sign in; empty: its subjects are staff
}

// A Source is one legacy system and how it is reached: exactly one of the adapters is set.
type Source struct {
	ID         string        `yaml:"id"`
	Department string        `yaml:"department"`
	Deadline   Duration      `yaml:"deadline"`   // longest wait for a slot, and from then on for the answer; shorter than limits.call; default 3s
	Concurrent int           `yaml:"concurrent"` // slots: calls under way at once, shared out among the systems; default 32
	Failures   int           `yaml:"failures"`   // consecutive failures that open its breaker; default 5
	Cooldown   Duration      `yaml:"cooldown"`   // how long an open breaker refuses; default 5s
	Adapter    AdapterChoice `yaml:",inline"`    // the kind of adapter with its configuration: exactly one of the following
}

// Data names the files that differ between cities. Patterns are allowed in the lists.
type Data struct {
	Catalogue   string   `yaml:"catalogue"`
	Matters     []string `yaml:"matters"`
	Calendar    string   `yaml:"calendar"`
	Holders     string   `yaml:"holders"`     // what holders are told of who used their licenses, and who may ask for another; without one: twelve months, everything, oneself
	Maintenance string   `yaml:"maintenance"` // planned maintenance of sources; without one: none is known
	Layouts     []string `yaml:"layouts"`     // how the documents of license types look; a type without one has no document form
	Fonts       []Font   `yaml:"fonts"`       // looked in for characters before the program's own, such as a city's rare characters
	Grants      []string `yaml:"grants"`      // grants, permissions, shares and suspensions
	Guards      []string `yaml:"guards"`      // Cedar
	Decisions   []string `yaml:"decisions"`   // tables of expected decisions (*_test.yaml), for "policy test"; "check" runs them too
}

// A Font is a TrueType font for documents.
type Font struct {
	Name string `yaml:"name"` // by which layouts may ask for it
	File string `yaml:"file"` // .ttf or .ttc, at most 32 MiB
}

// Limits bound what one call may cost, and what all together may. Half of calls under way, memory, verifications and each source's
// slots is reserved to the systems, to each its part by weight; the rest is lent to whoever asks, to nobody more than is then left.
type Limits struct {
	Body      int      `yaml:"body"`      // bytes of a request body; default and most 524288
	Documents int      `yaml:"documents"` // bytes of a request body of licenses.verify and cases.file, which bring documents; default and most 8388608
	Materials int      `yaml:"materials"` // materials in one check; default 64
	Call      Duration `yaml:"call"`      // longest time of one call; default 15s
	InFlight  int      `yaml:"in_flight"` // calls under way at once, shared out among the systems; default 1024
	Memory    int      `yaml:"memory"`    // bytes of memory for the bodies of all calls under way, four for each byte of a body, shared out among the systems; at least 134217728; default 268435456
	Unproven  int      `yaml:"unproven"`  // calls per second, network and key that prove nobody before the signatures of such calls are checked in turns; default 100

	Connections int `yaml:"connections"` // open connections of the service, at most half of what is left for one network unless behind_tls; less where the process may not open so many files; default 4096
	FreeSpace   int `yaml:"free_space"`  // bytes that must be free on the file systems of store and mark, else /readyz says no; default 67108864
}

// Retention sets retention periods. Access records themselves stay as long as the log.
type Retention struct {
	Evidence  Duration `yaml:"evidence"`  // sealed requests and persons; default 3 years (26280h)
	Originals Duration `yaml:"originals"` // sealed originals of licenses, for later copies; another one is sealed after it; default 3 years (26280h)
}

// A Duration is written as Go writes durations: "3s", "250ms", "24h".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration; write it like \"3s\" or \"250ms\"", text)
	}
	*d = Duration(v)
	return nil
}

// Defaults and bounds that several rooms use.
const (
	defaultCall     = 15 * time.Second
	defaultDeadline = 3 * time.Second // of a source

	MinConnections     = 32 // open connections of the service
	DefaultConnections = 4096
	DefaultSlots       = 32 // of a source
)

// CallTimeout is the longest time of one call.
func (l Limits) CallTimeout() time.Duration { return cmp.Or(time.Duration(l.Call), defaultCall) }
