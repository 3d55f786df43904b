package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/statuslist"
	"oncegate/check"
	"oncegate/license"
	"oncegate/register"
)

// A ListSigner is who signs the status lists under some address: an organisation or one certificate.
type ListSigner struct {
	URIPrefix   string    // scheme, host and the first path segments of the lists' URIs
	USCC        string    // of the signing certificate; or
	Fingerprint string    // pki.Fingerprint of it
	NotAfter    time.Time // lists that were issued later are not trusted; zero: no end but the certificate's own
}

// coveredLists is a ListSigner with its prefix taken apart.
type coveredLists struct {
	ListSigner
	prefix *url.URL
}

func (t *Trust) addListSigner(l ListSigner) error {
	prefix, err := listAddress(strings.TrimRight(l.URIPrefix, "/"))
	switch {
	case err != nil || prefix.RawQuery != "" || prefix.ForceQuery:
		return errors.New("uri_prefix is required: an http or https URL without query and fragment, such as https://gateway.example/status-lists")
	case (l.USCC == "") == (l.Fingerprint == ""):
		return errors.New("either uscc or fingerprint is required")
	case l.USCC != "" && license.CheckUSCC(l.USCC) != nil:
		return errors.New("uscc is not a unified social credit code (统一社会信用代码)")
	case l.Fingerprint != "" && !isFingerprint(l.Fingerprint):
		return errors.New("fingerprint is the SM3 of the certificate's DER, 64 lower-case hex digits")
	}
	t.listSigners = append(t.listSigners, coveredLists{l, prefix})
	return nil
}

func isFingerprint(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

// maxListAddress bounds the address of a status list in bytes.
const maxListAddress = 1024

// listAddress reads an address whose structure is beyond doubt: no user, no fragment, and no path that some other reader
// would take for another one.
func listAddress(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	path := strings.ToLower(u.EscapedPath())
	doubtful := strings.Contains(text, "#") || strings.Contains(text, "\\") || strings.Contains(path, "//") ||
		slices.ContainsFunc([]string{"%2e", "%2f", "%5c", "%25", "%00"}, func(s string) bool { return strings.Contains(path, s) }) ||
		slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." })
	if len(text) > maxListAddress || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Opaque != "" || doubtful {
		return nil, errors.New("not an address of status lists")
	}
	return u, nil
}

// covers compares scheme, host and port, and whole path segments.
func (l coveredLists) covers(u *url.URL) bool {
	path, below := strings.CutPrefix(u.EscapedPath(), l.prefix.EscapedPath())
	return u.Scheme == l.prefix.Scheme && strings.EqualFold(u.Hostname(), l.prefix.Hostname()) && portOf(u) == portOf(l.prefix) &&
		below && (path == "" || path[0] == '/')
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"https": "443", "http": "80"}[u.Scheme]
}

// listSignersOf are the entries for an address: those of the longest prefix that covers it.
func (t *Trust) listSignersOf(uri string) (list []coveredLists) {
	u, err := listAddress(uri)
	if err != nil {
		return nil
	}
	longest := 0
	for _, l := range t.listSigners {
		switch n := len(l.prefix.EscapedPath()) + 1; {
		case !l.covers(u) || n < longest:
		case n > longest:
			longest, list = n, []coveredLists{l}
		default:
			list = append(list, l)
		}
	}
	return list
}

// Names of the steps of a status list.
const (
	StepListForm       = "status-list-form"
	StepListSignature  = "status-list-signature"         // by a certificate for status lists, under an anchor
	StepListSigner     = "status-list-signer"            // whom the trust names for the list's address
	StepListRevocation = "status-list-signer-revocation" // of the signer's certificate
	StepListValidity   = "status-list-validity"          // iat, exp and the certificate's dates
	StepListAge        = "status-list-age"               // how old it is, against ttl
	StepListLatest     = "status-list-latest"            // no newer one of the same address is known
)

var listSteps = []string{StepListForm, StepListSignature, StepListSigner, StepListRevocation, StepListValidity, StepListAge, StepListLatest}

const (
	// maxListsOfURI bounds the status lists of one address that are looked at.
	maxListsOfURI = 16
	// listLife is for how long a list is trusted that says neither exp nor ttl.
	listLife = 24 * time.Hour
)

// A statusListItem is a status list among the artefacts, or kept as evidence.
type statusListItem struct {
	compact string
	says    *statuslist.Token // unverified; nil where the form is broken
	err     error             // of the form

	judged       bool
	token        *statuslist.Token // nil unless it is trusted
	doubt        string            // why it is not trusted
	unauthorized *statuslist.Token // not trusted only because the trust names nobody for its address
	stale        string            // why it is trusted no longer where it says that a license is in force
	steps        check.Steps       // all but StepListLatest
}

// gatherList takes a status list without judging it: what its judgement needs may come later.
func (s *batch) gatherList(data []byte) *statusListItem {
	compact := strings.TrimSpace(string(data))
	l := s.statusListOf[compact]
	if l == nil {
		l = &statusListItem{compact: compact}
		l.says, l.err = statuslist.Read(compact)
		s.statusLists, s.statusListOf[compact] = append(s.statusLists, l), l
	}
	return l
}

// judge judges a list once, by the evidence at hand.
func (s *batch) judge(l *statusListItem) *statusListItem {
	if l.judged {
		return l
	}
	l.judged = true
	s.judgeList(l)
	if l.token != nil {
		s.seen.note(l.token.Subject, l.token.IssuedAt)
		return l
	}
	for _, step := range l.steps {
		if step.State != check.OK {
			l.doubt = step.Reason
			break
		}
	}
	return l
}

func (s *batch) judgeList(l *statusListItem) {
	done, now := &l.steps, s.now()
	if l.err != nil {
		done.Fail(StepListForm, l.err.Error())
		return
	}
	iat := l.says.IssuedAt
	if err := l.says.InForce(now); errors.Is(err, statuslist.ErrNotYet) {
		done.Pass(StepListForm, "")
		done.Fail(StepListValidity, err.Error())
		return
	}
	// The signature is judged as of the list's own time: years later it still says what was so then.
	var chain []*pki.Certificate
	var leaf pki.Leaf
	token, err := statuslist.Verify(l.compact, l.says.Subject, iat, func(p *jws.Parts) (err error) {
		certs, err := pki.ParseChain(p.Header.X5C)
		if err != nil {
			return err
		}
		chain = s.chainOf(certs[0], certs[1:])
		if leaf, err = s.chains.Chain(chain[0], chain[1:], iat, pki.Status); err != nil {
			return err
		}
		return p.Verify(leaf.Public, s.verifySM2)
	})
	switch {
	case check.Undecided(err):
		done.Pass(StepListForm, "")
		done.CannotCheck(StepListSignature, err.Error())
		return
	case errors.Is(err, statuslist.ErrSignature):
		done.Pass(StepListForm, "")
		done.Fail(StepListSignature, err.Error())
		return
	case err != nil:
		done.Fail(StepListForm, err.Error())
		return
	}
	done.Pass(StepListForm, "")
	done.Pass(StepListSignature, "")
	signer := s.listSigner(l, leaf)
	revocation := s.revocationAt(s.ctx, s.chains, nil, chain, iat)
	revoked := revocation.State == check.Failed || !revocation.since.IsZero() // the list's own time proves nothing
	revocation.Step = revocation.at(pki.SigningTime{At: iat, Source: pki.Claimed})
	revocation.Name = StepListRevocation
	l.steps = append(l.steps, signer, revocation.Step)
	s.listValidity(l, chain)
	s.listAge(l)
	switch named := len(s.listSignersOf(l.says.Subject)) > 0; {
	case signer.State == check.Failed || revoked:
	case named:
		l.token = token
	default:
		l.unauthorized = token
	}
}

// listSigner says whether the trust names the signer of a list for its address.
func (s *batch) listSigner(l *statusListItem, leaf pki.Leaf) check.Step {
	step := check.Step{Name: StepListSigner, State: check.NotCheckable}
	entries := s.listSignersOf(l.says.Subject)
	switch {
	case len(s.listSigners) == 0:
		step.Reason = "the trust does not say who signs status lists (status_lists)"
		return step
	case len(entries) == 0:
		step.Reason = "the trust does not say who signs the status lists of this address"
		return step
	}
	step.State, step.Reason = check.Failed, "the trust names another signer for the status lists of this address"
	for _, e := range entries {
		if e.USCC != "" && e.USCC != leaf.USCC || e.Fingerprint != "" && e.Fingerprint != leaf.Fingerprint {
			continue
		}
		switch until := e.NotAfter; {
		case until.IsZero() || !s.now().After(until):
			l.stale = ""
			return check.Step{Name: StepListSigner, State: check.OK, Reason: "the trust names " + leaf.USCC + " for this address"}
		case l.says.IssuedAt.After(until):
			step.Reason = "the list was issued after " + api.At(until).String() + ", when its signer's time in the trust ended"
		default:
			l.stale = "its signer's time in the trust ended at " + api.At(until).String()
			step.State, step.Reason = check.NotCheckable, l.stale+", and nothing proves that it was signed before"
		}
	}
	return step
}

// listValidity judges iat and exp, and the dates of the signer's chain.
func (s *batch) listValidity(l *statusListItem, chain []*pki.Certificate) {
	err := l.says.InForce(s.now())
	if err == nil {
		_, err = s.chains.Path(chain[0], chain[1:], s.now())
	}
	switch {
	case errors.Is(err, statuslist.ErrExpired):
		l.stale = "the list has expired since"
	case err != nil:
		l.stale = "the certificate of its signer has expired since"
	}
	l.steps.Result(StepListValidity, err)
}

// age is how long ago a list was issued, in seconds.
func (s *batch) age(l *statusListItem) time.Duration {
	return max(s.now().Sub(l.says.IssuedAt), 0).Round(time.Second)
}

// listAge says how old a list is. One that is older than its ttl may still be trusted until exp, but a newer one was due.
func (s *batch) listAge(l *statusListItem) {
	age := s.age(l)
	said := "issued at " + api.At(l.says.IssuedAt).String() + ", " + age.String() + " ago"
	life := cmp.Or(l.says.TTL, listLife)
	if l.says.TTL > 0 {
		said += ", with a ttl of " + life.String()
	}
	if age <= life {
		l.steps.Pass(StepListAge, said)
		return
	}
	if l.says.Expires.IsZero() && l.stale == "" {
		l.stale = "the list is " + age.String() + " old"
	}
	l.steps.CannotCheck(StepListAge, said+": a newer one was due")
}

// listsOf are the lists at hand of an address, the newest first.
func (s *batch) listsOf(uri string) (list []*statusListItem) {
	for _, l := range s.statusLists {
		if uri != "" && l.says != nil && l.says.Subject == uri {
			list = append(list, l)
		}
	}
	slices.SortStableFunc(list, func(a, b *statusListItem) int { return b.says.IssuedAt.Compare(a.says.IssuedAt) })
	return list[:min(len(list), maxListsOfURI)]
}

// newest are the newest lists of an address that are trusted: several only if they were issued in one second.
func (s *batch) newest(uri string) (list []*statusListItem) {
	for _, l := range s.listsOf(uri) {
		if len(list) > 0 && !list[0].says.IssuedAt.Equal(l.says.IssuedAt) {
			break
		}
		if s.judge(l).token != nil {
			list = append(list, l)
		}
	}
	return list
}

// superseded says why a list is not the latest; "" where none that is newer is known.
func (s *batch) superseded(l *statusListItem) string {
	at := s.seen.newest(l.says.Subject)
	if all := s.newest(l.says.Subject); len(all) > 0 && all[0].says.IssuedAt.After(at) {
		at = all[0].says.IssuedAt
	}
	if !at.After(l.says.IssuedAt) {
		return ""
	}
	return "a list of " + api.At(at).String() + " has superseded it"
}

// statusList verifies a status list alone.
func (s *batch) statusList(data []byte) (done check.Steps) {
	l := s.judge(s.gatherList(data))
	for _, name := range listSteps[:len(listSteps)-1] {
		if i := slices.IndexFunc(l.steps, func(step check.Step) bool { return step.Name == name }); i >= 0 {
			done = append(done, l.steps[i])
		} else {
			done.CannotCheck(name, "another step failed")
		}
	}
	switch {
	case l.token == nil:
		done.CannotCheck(StepListLatest, "the list is not trusted")
	case s.superseded(l) != "":
		done.CannotCheck(StepListLatest, s.superseded(l))
	default:
		done.Pass(StepListLatest, "")
	}
	return done
}

// status looks the license up in the newest status list among the artefacts that is trusted. What an answer said of a license may
// have been true when it was recorded and be so no longer: a later list says how the license stands since, and refutes the license
// but not the answer.
func (s *batch) status(done *check.Steps, c licenseClaims, in *answered, presentation string) *api.InForce {
	uri := c.Status.List.URI
	lists := s.newest(uri)
	if len(lists) == 0 {
		return s.statusFromAnswer(done, c.ID, s.noList(uri, c.Status.List.Index))
	}
	var l *statusListItem
	var is license.Status
	for _, next := range lists { // of lists of one second the worse counts
		value, err := next.token.List.Get(c.Status.List.Index)
		if err != nil {
			done.Fail("status", "the status list has no such position")
			return nil
		}
		if l == nil || is == license.Valid {
			l, is = next, register.StatusOf(value)
		}
	}
	issued := l.token.IssuedAt
	asOf := fmt.Sprintf("%s as of %s, %s ago", is, api.At(issued), s.age(l))
	late := l.stale
	if newer := s.superseded(l); newer != "" {
		late = newer
	}
	known := inForce(is, issued)
	switch {
	case late != "" && (is == license.Valid || is == license.Suspended):
		done.CannotCheck("status", asOf+", and "+late+": ask for a new one")
		known = nil
	case is == license.Valid:
		done.Pass("status", asOf)
	case in != nil && in.status(presentation) == string(is):
		done.Pass("status", asOf+", and the answer says so")
	case in != nil && in.proven && in.at.Before(issued):
		done.CannotCheck("status", asOf+", which is after the answer was recorded")
	default:
		done.Fail("status", asOf)
	}
	i := slices.IndexFunc(l.steps, func(step check.Step) bool { return step.Name == StepListRevocation })
	*done = append(*done, l.steps[i])
	return known
}

// noList says why no list of an address is trusted.
func (s *batch) noList(uri string, index int) string {
	doubted := s.listsOf(uri)
	if len(doubted) == 0 {
		return "its status list is not at hand"
	}
	first := doubted[0]
	if first.unauthorized != nil {
		if value, err := first.unauthorized.List.Get(index); err == nil {
			return fmt.Sprintf("its status list says %s and is not trusted: %s", register.StatusOf(value), first.doubt)
		}
	}
	return "its status list is not trusted: " + first.doubt
}

// SeenLists is a high-water mark of status lists (rollback protection): by address the time of issue of the newest one that was trusted. An older
// one is superseded from then on, whoever brings it. It is safe for concurrent use.
type SeenLists struct {
	file   string // "" for memory only
	report func(error)

	mu     sync.Mutex // protects seenAt
	seenAt map[string]int64

	saving sync.Mutex // held while the file is written
}

// maxSeen bounds the addresses; beyond it the one whose list is oldest is forgotten.
const maxSeen = 4096

// OpenSeenLists reads the file where it was left, and keeps it up; "" keeps it in memory only. report is told what could not
// be written.
func OpenSeenLists(file string, report func(error)) (*SeenLists, error) {
	s := &SeenLists{file: file, report: report, seenAt: make(map[string]int64)}
	if file == "" {
		return s, nil
	}
	data, err := readBounded(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.seenAt)
	}
	if err != nil {
		return nil, fmt.Errorf("read the newest status lists seen: %w", err)
	}
	return s, nil
}

// newest is when the newest list of an address was issued; zero if none was seen.
func (s *SeenLists) newest(uri string) time.Time {
	if s == nil {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.seenAt[uri]; at != 0 {
		return time.Unix(at, 0).UTC()
	}
	return time.Time{}
}

// note remembers a list that is trusted.
func (s *SeenLists) note(uri string, issued time.Time) {
	if s == nil || !s.raise(uri, issued.Unix()) || s.file == "" {
		return
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	all := maps.Clone(s.seenAt)
	s.mu.Unlock()
	if err := writeSeen(s.file, all); err != nil && s.report != nil {
		s.report(fmt.Errorf("write the newest status lists seen: %w", err))
	}
}

func (s *SeenLists) raise(uri string, issued int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seenAt[uri] >= issued {
		return false
	}
	s.seenAt[uri] = issued
	if len(s.seenAt) > maxSeen {
		oldest := uri
		for other, at := range s.seenAt {
			if at < s.seenAt[oldest] {
				oldest = other
			}
		}
		delete(s.seenAt, oldest)
	}
	return true
}

// writeSeen replaces the file, so that a crash leaves the old one or the new one.
func writeSeen(name string, all map[string]int64) error {
	data, err := json.Marshal(all, json.Deterministic(true), jsontext.Multiline(true))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(append(data, '\n')); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
