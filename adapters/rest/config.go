package rest

import (
	"path/filepath"
	"slices"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/adapters/secret"
)

// Config says how an HTTP interface that answers JSON is asked. Its fields are the manual.
//
// Texts marked "template" may contain {holder_code}, {holder_type} (in the source's own code) and {number}; {{ and }}
// stand for braces. Values are escaped for the place where they stand.
type Config struct {
	// ID names the source in findings and errors; the house fills it, it is no part of the YAML.
	ID string `yaml:"-"`
	// BaseURL is where the interface begins, such as https://10.1.2.3/api. Plain http is refused but on loopback.
	BaseURL string `yaml:"base_url"`
	// AllowPlainHTTP accepts http elsewhere, for networks that encrypt below.
	AllowPlainHTTP bool `yaml:"allow_plain_http"`
	// TLS restricts whom the gateway trusts and shows who it is.
	TLS TLS `yaml:"tls"`
	// Auth proves to the legacy system who asks; left out: nothing is sent.
	Auth Auth `yaml:"auth"`
	// Header is sent with every request, as it stands here.
	Header map[string]string `yaml:"header"`
	// Calls are the license types this source serves, one call each.
	Calls []Call `yaml:"calls"`
	// Health is a path below base_url that answers 200 when the system is well, for readiness. Empty: a connection is
	// enough.
	Health string `yaml:"health"`
	// MaxBytes bounds an answer's body. 0: 1 MiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxRecords bounds the records of one answer; more make the finding unavailable. 0: 1000.
	MaxRecords int `yaml:"max_records"`
	// Parallel is how many questions of one call are asked at once. 0: 4.
	Parallel int `yaml:"parallel"`
	// MaxConnections bounds connections to the system. 0: 16.
	MaxConnections int `yaml:"max_connections"`
	// IdleTimeout closes connections that were not used so long. 0: 90s. It must be shorter than the system's own.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

// TLS are PEM files. Version 1.2 is the least; the system's own certificates are trusted unless CA is given.
type TLS struct {
	CA          string `yaml:"ca"`          // trust only these authorities
	Certificate string `yaml:"certificate"` // client certificate with chain
	Key         string `yaml:"key"`         // its key
	ServerName  string `yaml:"server_name"` // name in the server's certificate, where base_url has an address
}

// Auth is one header, with a secret or with a token signed for each request.
type Auth struct {
	Header string     `yaml:"header"` // default Authorization
	Prefix string     `yaml:"prefix"` // what stands before the value, such as "Bearer "
	Secret secret.Ref `yaml:"secret"` // the value
	Signed bool       `yaml:"signed"` // instead: the value is a token over method, URL and body, signed with the gateway's key for calls
}

// A Call fetches the licenses of one type that one holder has.
type Call struct {
	// Method is GET or POST; default POST, because what identifies a person belongs into a body.
	Method string `yaml:"method"`
	// Path is a template below base_url; each value fills (part of) one path segment.
	Path string `yaml:"path"`
	// Query holds templates of query parameters.
	Query map[string]string `yaml:"query"`
	// Body is the JSON body as YAML; every text in it is a template. It is encoded as JSON, never pasted.
	Body map[string]any `yaml:"body"`
	// Form is a form body of templates, instead of body.
	Form map[string]string `yaml:"form"`
	// Answer says how the answer is read.
	Answer Answer `yaml:"answer"`
	// Record maps the answer; columns are JSON pointers below a record, such as /owner/name.
	Record mapping.Record `yaml:"record"`
}

// Answer says how an answer is read. Paths are JSON pointers (RFC 6901). What is not expected here is unavailable.
type Answer struct {
	// Records is where the list of records, or the one record, stands; "" is the whole document.
	Records string `yaml:"records"`
	// Holders is a list below each record with one element per holder; columns of its elements are written
	// HOLDERS/-/name, such as /owners/-/name.
	Holders string `yaml:"holders"`
	// Success is a code in the body that says the system did answer; left out: status 200 is enough.
	Success Mark `yaml:"success"`
	// NotFound are the ways in which this system says "there is none". At least one is needed; anything else that is
	// no record is unavailable.
	NotFound []NotFound `yaml:"not_found"`
	// Total is where the number of all records stands, for systems that answer in pages: fewer records than that are an
	// incomplete answer, which is unavailable.
	Total string `yaml:"total"`
	// ContentTypes are accepted besides application/json, for systems that call JSON text/plain or text/html.
	ContentTypes []string `yaml:"content_types"`
}

// A Mark is a value in the body with the texts that count.
type Mark struct {
	Path   string   `yaml:"path"`   // JSON pointer of the value
	Values []string `yaml:"values"` // texts of which it must be one
}

// A NotFound is one way of saying "there is none". All that it states must hold.
type NotFound struct {
	Status int  `yaml:"status"`  // HTTP status; default 200. A 404 must still be the system's own JSON, not a proxy's page
	Mark   Mark `yaml:"mark"`    // a code in the body
	Empty  bool `yaml:"empty"`   // records is there and is [] or null
	NoBody bool `yaml:"no_body"` // the answer has no body at all
}

const (
	defaultBytes       = 1 << 20
	defaultRecords     = 1000
	defaultParallel    = 4
	defaultConnections = 16
	defaultIdle        = 90 * time.Second
)

// SetID names the source in findings and errors.
func (c *Config) SetID(id string) { c.ID = id }

// Types are the license types that the source has.
func (c *Config) Types() (list []string) {
	for _, call := range c.Calls {
		list = append(list, call.Record.Type)
	}
	return list
}

// ResolvePaths makes relative paths relative to a folder.
func (c *Config) ResolvePaths(dir string) {
	for _, p := range []*string{&c.TLS.CA, &c.TLS.Certificate, &c.TLS.Key, &c.Auth.Secret.File} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, filepath.FromSlash(*p))
		}
	}
}

// Files are those that opening the source reads: certificates, key and secret.
func (c *Config) Files() []string {
	return slices.DeleteFunc([]string{c.TLS.CA, c.TLS.Certificate, c.TLS.Key, c.Auth.Secret.File}, func(name string) bool { return name == "" })
}

// Secrets are the files of the key and the secret that the system knows us by.
func (c *Config) Secrets() []string { return []string{c.TLS.Key, c.Auth.Secret.File} }
