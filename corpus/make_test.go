package corpus

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/certstest/ocsp"
	"oncegate/certs/certstest/office"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/seal"
	"oncegate/certs/timestamp"
	"oncegate/check"
	"oncegate/config"
	"oncegate/demo"
	"oncegate/demo/legacy"
	"oncegate/deploy"
	"oncegate/install"
)

// makeVariable names the version to make: a folder of testdata that is not there.
const makeVariable = "ONCEGATE_CORPUS_MAKE"

// TestMake makes a version, as README.md says. It needs openssl, pg_dump and ONCEGATE_TEST_POSTGRES.
func TestMake(t *testing.T) {
	name := os.Getenv(makeVariable)
	if name == "" {
		t.Skipf("%s is not set: nothing is made", makeVariable)
	}
	m := &maker{t: t, version: version{name: name}, dir: t.TempDir()}
	if _, err := os.Stat(m.version.path()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is there: a version is never made again", m.version.path())
	}
	m.make()
}

// A maker makes a version. While it works, everything lies in a temporary folder under the names that it keeps.
type maker struct {
	t       *testing.T
	version version
	dir     string
	people  *legacy.Population
}

func (m *maker) make() {
	m.people = legacy.Invent()
	stop := m.demo()
	sqlite := m.tell("sqlite", m.city())
	m.keys(sqlite)
	m.postgres()
	m.configurations(sqlite)
	m.office()
	m.complete()
	stop()
	commit, err := exec.CommandContext(m.t.Context(), "git", "rev-parse", "--short", "HEAD").Output()
	m.must(err)
	m.version.Made, m.version.Commit, m.version.Unasked = time.Now().UTC().Truncate(time.Second), strings.TrimSpace(string(commit)), m.people.Companies[60].Code
	for _, folder := range []string{"city", "sqlite", "postgres", "trust", "artefacts", "keys", "configurations"} {
		m.keepFolder(folder)
	}
	text, err := json.MarshalIndent(m.version, "", "  ")
	m.must(err)
	write(m.t, m.version.path(madeFile), append(text, '\n'))
	writeExpected(m.t, m.version)
}

// complete fails unless every signed operation was called and each log has records of the highest schema. Entries of the log stand in the
// databases.
func (m *maker) complete() {
	contract, err := api.NewContract()
	m.must(err)
	sets := folders(m.t, m.path("artefacts", "sqlite"))
	for _, op := range contract.Operations() {
		if op.Signed && op.ID != "log.entries" && !slices.ContainsFunc(sets, func(set string) bool { return set == op.ID || strings.HasPrefix(set, op.ID+"-") }) {
			m.t.Fatalf("the story has no call of %s", op.ID)
		}
	}
	m.version.Schemas = m.schemas("sqlite")
	if other := m.schemas("postgres"); !slices.Contains(m.version.Schemas, audit.Version) || !slices.Equal(other, m.version.Schemas) {
		m.t.Fatalf("the logs have records of schemas %v and %v, and the highest is %d", m.version.Schemas, other, audit.Version)
	}
}

// schemas are the versions of the records in the answers of a log, ascending.
func (m *maker) schemas(name string) (found []int) {
	for _, set := range folders(m.t, m.path("artefacts", name)) {
		data, there := files(m.t, m.path("artefacts", name, set))["answer.json"]
		if !there {
			continue
		}
		_, receipt, err := audit.SplitAnswer(data)
		m.must(err)
		record, err := audit.ParseRecord(receipt.Record)
		m.must(err)
		found = append(found, record.V)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (m *maker) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *maker) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

// demo tells the demo's story and leaves its gateway running. Its folders get their names here when it has ended.
func (m *maker) demo() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	out := &until{text: "curl ", then: sync.OnceFunc(func() { close(ready) })}
	go func() { done <- demo.Run(ctx, demo.Options{Dir: m.path("demo"), Out: out}) }()
	select {
	case <-ready:
	case err := <-done:
		m.t.Fatalf("the demo ended: %v\n%s", err, out.Bytes())
	}
	m.must(os.Mkdir(m.path("trust"), 0o700))
	m.must(os.CopyFS(m.path("trust", "sqlite"), os.DirFS(m.path("demo", "trust"))))
	m.must(os.CopyFS(m.path("artefacts", "sqlite", "demo"), os.DirFS(m.path("demo", "artefacts"))))
	for _, name := range []string{"license.png", "license.png.answer.json"} { // a megabyte each; the first version has a picture
		m.must(os.Remove(m.path("artefacts", "sqlite", "demo", name)))
	}
	return func() {
		cancel()
		m.must(<-done)
		m.must(os.Rename(m.path("demo", "city"), m.path("city")))
		m.must(os.Rename(m.path("demo", "gateway"), m.path("sqlite")))
		m.must(os.Rename(m.path("demo", "county"), m.path("postgres")))
		m.must(os.Remove(m.path("sqlite", "gateway.log")))
	}
}

// until calls a function once a text has been written.
type until struct {
	bytes.Buffer
	text string
	then func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	if bytes.Contains(u.Bytes(), []byte(u.text)) {
		u.then()
	}
	return n, err
}

// city is the demo's gateway.
func (m *maker) city() *site {
	main := m.path("demo", "gateway", config.MainFile)
	return visit(m.t, main, load(m.t, main, time.Now()).Gateway.Listen, time.Now)
}

// keys stores the outputs and inputs of key management.
func (m *maker) keys(s *site) {
	ctx := m.t.Context()
	ring, err := install.OpenKeystore(s.main, nil)
	m.must(err)
	keep := func(name string, data []byte, err error) {
		m.must(err)
		write(m.t, m.path("keys", name), data)
	}
	m.must(os.Mkdir(m.path("keys"), 0o700))
	request, err := install.NewCallKey(ctx, m.path("keys", "food-approval-2.key.pem"), food)
	keep("food-approval-2.csr", request, err)
	chain, err := ring.Certify(ctx, food, request)
	keep("food-approval-2.pem", chain, err)
	m.openssl("pkcs12", "-export", "-inkey", m.path("keys", "food-approval-2.key.pem"), "-in", m.path("keys", "food-approval-2.pem"),
		"-passout", "pass:"+importPassword, "-out", m.path("keys", "food-approval-2.p12"))
	for _, k := range ring.List() {
		if k.Usage != keystore.License || k.State != keystore.Current || k.Owner == "" {
			continue
		}
		text, err := ring.Request(ctx, k.ID)
		keep("license.csr", text, err)
		text, err = ring.Export(k.ID, false)
		keep("license.pub.pem", text, err)
		phrase := bytes.TrimSpace(read(m.t, s.path("keys.passphrase")))
		ca, err := install.NewAuthority(ctx, install.AuthorityConfig{Dir: s.path(install.CAFolder), Passphrase: phrase})
		m.must(err)
		pair, err := ca.IssuePair(ctx, pki.Request{Organization: "示例", USCC: k.Owner, Usage: pki.License, CommonName: "示例", Public: k.SM2})
		keep("encryption.enveloped.der", pair.Enveloped, err)
		keep("encryption.wrapped-to", []byte(k.ID+"\n"), nil)
		keep("encryption.pem", pki.MarshalPEM(pair.Encryption...), nil)
		keep("signing.pem", pki.MarshalPEM(pair.Signing...), nil)
		break
	}
	m.must(ring.Revoke(ctx, read(m.t, m.path("keys", "signing.pem")), pki.Superseded))
	lists, err := ring.Lists(ctx)
	keep("crl.pem", lists, err)
	sealer, err := s.setup.Keys.Keyring(keystore.Envelope, "")
	m.must(err)
	blob, err := sealer.Seal([]byte(sealedText), []byte(sealedContext))
	keep("sealed", blob, err)
	all := files(m.t, m.path("keys"))
	m.keepArtefacts("sqlite", "revoked", map[string][]byte{"crl.pem": all["crl.pem"], "signing.pem": all["signing.pem"], "encryption.pem": all["encryption.pem"]})
}

func (m *maker) keepArtefacts(name, set string, all map[string][]byte) {
	for file, data := range all {
		write(m.t, m.path("artefacts", name, set, file), data)
	}
}

func (m *maker) openssl(args ...string) {
	m.t.Helper()
	if out, err := exec.CommandContext(m.t.Context(), "openssl", args...).CombinedOutput(); err != nil {
		m.t.Fatalf("openssl %s: %v %s", args[0], err, out)
	}
}

// postgres tells the story to a gateway over PostgreSQL, on a log and keys of its own, and dumps its database.
func (m *maker) postgres() {
	d := newDatabase(m.t)
	if d == nil {
		m.t.Fatal("a version needs a database of each engine")
	}
	dir := m.path("demo", "county")
	m.must(deploy.WriteCity(dir))
	for _, part := range []string{"sources", "secrets"} { // where the city's systems are
		m.must(os.RemoveAll(filepath.Join(dir, part)))
		m.must(os.CopyFS(filepath.Join(dir, part), os.DirFS(m.path("demo", "gateway", part))))
	}
	main := filepath.Join(dir, config.MainFile)
	write(m.t, filepath.Join(dir, dsnFile), []byte(d.url.String()))
	stamps := regexp.MustCompile(`(?m)^timestamp: .*$`).Find(read(m.t, m.path("demo", "gateway", config.MainFile)))
	edit(m.t, main, "id: yunchuan-gateway", "id: county-gateway", "origin: gateway.yunchuan.example/log", "origin: county.yunchuan.example/log",
		"driver: sqlite", "driver: postgres", "path: data/oncegate.db", "dsn_file: "+dsnFile, "listen: 127.0.0.1:8420", "listen: 127.0.0.1:0", "admin: 127.0.0.1:8421", "admin: 127.0.0.1:0",
		`# timestamp: {url: "http://127.0.0.1:8424/", wait: 2s}`, string(stamps))
	_, err := install.Prepare(m.t.Context(), main, install.PrepareOptions{Cost: 12})
	m.must(err)
	// The stamps are of the city's authority, whose root the county trusts for that.
	write(m.t, filepath.Join(dir, "certificates", "city-ca.pem"), read(m.t, m.path("demo", "gateway", "certificates", "ca.pem")))
	write(m.t, filepath.Join(dir, "certificates", "city-authority.pem"), read(m.t, m.path("trust", "sqlite", "authority.cert.pem")))
	edit(m.t, main, "  anchors: [certificates/ca.pem]\n", "  anchors: [certificates/ca.pem]\n  timestamp_anchors: [certificates/city-ca.pem]\n  authorities: [certificates/city-authority.pem]\n")
	s, stop := serve(m.t, main, time.Now)
	m.tell("postgres", s)
	stop()
	dump := exec.CommandContext(m.t.Context(), "pg_dump", "--inserts", "--no-owner", "--no-privileges", "--no-comments", "--dbname", d.url.String())
	text, err := dump.Output()
	m.must(err)
	var kept bytes.Buffer
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "SET ") && !strings.HasPrefix(line, `\`) { // comments and settings of one server's version
			kept.WriteString(line)
		}
	}
	write(m.t, filepath.Join(dir, dumpFile), kept.Bytes())
	m.must(os.Remove(filepath.Join(dir, dsnFile)))
}

// configurations keeps the samples as they are, and a configuration that uses every member, with the trust that it writes.
func (m *maker) configurations(s *site) {
	m.must(deploy.WriteCity(m.path("configurations", "city")))
	m.must(install.WriteTemplate(m.path("configurations", "template")))
	public, _, err := ed25519.GenerateKey(nil)
	m.must(err)
	witness, err := lognote.MarshalVKey("witness.example/yunchuan", public)
	m.must(err)
	leaf, err := pki.ParsePEM(read(m.t, m.path("keys", "signing.pem")))
	m.must(err)
	write(m.t, s.path("certificates", "authority.pem"), read(m.t, m.path("trust", "sqlite", "authority.cert.pem")))
	write(m.t, s.path("evidence", "crl.pem"), read(m.t, m.path("artefacts", "sqlite", "licenses.render-ofd", "crl.pem")))
	write(m.t, s.path("evidence", "status-list.jwt"), read(m.t, m.path("artefacts", "sqlite", "status-list", "status-list.jwt")))
	text := string(read(m.t, s.main))
	for _, change := range [][2]string{
		{regexp.MustCompile(`(?m)^  anchors: .*\n  evidence: .*\n`).FindString(text), `  anchors: [certificates/ca.pem]
  seal_anchors: [certificates/ca.pem]
  timestamp_anchors: [certificates/ca.pem]
  authorities: [certificates/authority.pem]
  evidence: [evidence/*]
  fetch: true
  certificates:
    - {fingerprint: ` + pki.Fingerprint(leaf[0]) + `, uscc: 11379901MB99103773, usage: license}
  delegations:
    - {type: marriage-certificate, issuer: 11379901MB9911855E, delegate: 11379901MB9915186R}
  issues:
    - {type: marriage-certificate, issuers: [11379901MB9915186R]}
  status_lists:
    - {uri_prefix: "https://gateway.other.example/status-lists", uscc: 11379901MB9915186R, not_after: 2027-12-31}
  witnesses: ["` + witness + `"]
`},
		{"  # copy_life: ", "  admin_open: true\n  behind_tls: true\n  client_from: X-Forwarded-For\n  nodes: 1\n  status_list: 24h\n  drain: 10s\n  copy_life: 720h\n  assertion_life: 1h\n  consent_life: 8784h\n  # copy_life: "},
		{"  in_flight: 1024", "  in_flight: 1024\n  documents: 8388608\n  unproven: 100\n  memory: 268435456\n  connections: 4096\n  free_space: 67108864"},
	} {
		if change[0] == "" || !strings.Contains(text, change[0]) {
			m.t.Fatalf("the configuration has no %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	main := s.path(everythingFile)
	write(m.t, main, []byte(text))
	m.must(install.WriteTrust(load(m.t, main, time.Now()), m.path("trust", everything)))
}

// office stores artefacts of other software, and kinds of artefact that a gateway only passes on.
func (m *maker) office() {
	o := office.New(m.t, "corpus", time.Now())
	o.WriteTrust(m.path("trust", "office"), nil, nil)
	keep := func(set string, all map[string][]byte) { m.keepArtefacts("office", set, all) }
	for _, c := range o.Vendors() {
		keep("vendor-"+folderName(c.Name), c.Files)
	}
	for _, c := range o.Cases() {
		if c.Step == "" || c.State == check.NotCheckable {
			keep("right-"+folderName(c.Name), c.Files)
		}
	}
	content := []byte("what is signed\n")
	for name, c := range map[string]cms.Config{"gm": {}, "rfc": {Dialect: cms.RFC}, "bare": {Bare: true}, "detached": {Detached: true}, "detached-bare": {Detached: true, Bare: true}} {
		c.Now = func() time.Time { return o.Signed }
		der, err := cms.Sign(m.t.Context(), c, content, o.Identity)
		m.must(err)
		all := map[string][]byte{"message.p7s": der}
		if c.Detached {
			all["content.txt"] = content
		}
		keep("cms-"+name, all)
	}
	token, err := o.Stamps.Stamp(m.t.Context(), content)
	m.must(err)
	reply, err := tsa.MarshalResponse(timestamp.Response{Token: token})
	m.must(err)
	keep("time-stamp", map[string][]byte{"token.tst": token, "reply.tsr": reply, "content.txt": content})
	var value, xml []byte
	office.Edit(m.t, o.License(), func(name string, data []byte) []byte {
		switch {
		case strings.HasSuffix(name, "SignedValue.dat"):
			value = data
		case strings.HasSuffix(name, "Signature.xml"):
			xml = data
		}
		return data
	})
	signature, err := seal.ParseSignature(value)
	m.must(err)
	keep("seal", map[string][]byte{"seal.esl": signature.Seal.Raw})
	keep("seal-signature", map[string][]byte{"SignedValue.dat": value, "Signature.xml": xml})
	keep("revocation-lists", map[string][]byte{"crl.pem": o.Revoked(nil, time.Time{}), "crl-root.pem": o.RootList()})
	keep("ocsp", map[string][]byte{"answer.ocsp": m.ocsp(o), "license.ofd": o.SignBy(o.Write(office.Document(o.Identifier(office.USCC))), o.Identity, cms.Config{})})
	keep("certificates", map[string][]byte{"license.pem": pki.MarshalPEM(o.Identity.Chain...), "seal.der": o.Holder.Certificate.Raw})
}

var noName = regexp.MustCompile(`[^a-z0-9]+`)

// folderName makes a case's name one of a folder.
func folderName(text string) string { return noName.ReplaceAllString(strings.ToLower(text), "-") }

// ocsp asks an authority's responder about a license certificate.
func (m *maker) ocsp(o *office.Office) []byte {
	signer, chain := o.Issue("responder", pki.OCSP, office.Other, "示例市证书中心")
	r := &ocsp.Responder{Issuer: o.Intermediate.Certificate(), Signer: signer, Certificate: chain[0], Valid: 24 * time.Hour,
		Lookup: func(context.Context, *big.Int) (revocation.Status, error) {
			return revocation.Status{State: revocation.Good}, nil
		}}
	id, err := revocation.NewCertID(o.Intermediate.Certificate(), o.Identity.Chain[0].SerialNumber, revocation.SM3)
	m.must(err)
	question, err := revocation.Request{IDs: []revocation.CertID{id}}.Marshal()
	m.must(err)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(question)))
	return w.Body.Bytes()
}

// keepFolder puts a folder into the version: what gzip makes much smaller as such.
func (m *maker) keepFolder(folder string) {
	all := files(m.t, m.path(folder))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasSuffix(name, ".lock") {
			continue
		}
		data, target := all[name], m.version.path(folder, filepath.FromSlash(name))
		if small := gzipped(m.t, data); len(data) > 16<<10 && len(small) < len(data)*4/5 {
			data, target = small, target+packed
		}
		if bytes.Contains(data, []byte(m.dir)) {
			m.t.Errorf("%s names a folder of this machine", target)
		}
		write(m.t, target, data)
	}
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
