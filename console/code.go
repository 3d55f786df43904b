package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/document"
	"oncegate/license"
)

// A Finder finds how the license of a document's code stands; document.Codes is one. The error is fs.ErrNotExist for every code of which nothing
// may be shown, and audit.ErrTables where the row was altered.
type Finder interface {
	Find(ctx context.Context, code string, now time.Time) (document.Standing, error)
}

// CodeConfig is the configuration of the public pages of documents' codes. Find and Turn are required.
type CodeConfig struct {
	Find     func() Finder                                 // the one in force
	Operator func() string                                 // name of the body that runs the gateway; nil: none is shown
	Turn     func(r *http.Request) (leave func(), ok bool) // waits for the request's turn to read the database; see gateway.Gateway.Turn
	Now      func() time.Time                              // default time.Now
	Logger   *slog.Logger                                  // default: discard
}

// CodePages are the public pages of documents' codes (扫码页), /v/{code}: what the QR code of a document opens. They need no sign-in and leave
// no record (design law 1), show nothing of a license but what its document prints and how it stands, and answer alike for every code of
// which nothing may be shown: the same status, the same page, the same length, on the same grid of time. /v/ alone is a form for a code that
// is typed, or scanned into it, at a counter. Their style sheet stands beside them, so that a proxy need pass nothing but /v/.
type CodePages struct {
	config CodeConfig
	page   *template.Template
	style  []byte
	sheet  string // its name
}

//go:embed code.html
var codePage string

//go:embed code.css
var codeStyle []byte

// NewCodePages makes the pages.
func NewCodePages(c CodeConfig) (*CodePages, error) {
	if c.Find == nil || c.Turn == nil {
		return nil, errors.New("make pages of codes: a finder and turns are required")
	}
	if c.Operator == nil {
		c.Operator = func() string { return "" }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	page, err := template.New("code.html").Parse(codePage)
	if err != nil {
		return nil, fmt.Errorf("make pages of codes: %w", err)
	}
	sum := sha256.Sum256(codeStyle)
	return &CodePages{c, page, codeStyle, "style-" + hex.EncodeToString(sum[:6]) + ".css"}, nil
}

const (
	// codeInterval is the timing grid on which pages leave, so that their time does not say why nothing is shown.
	codeInterval = 20 * time.Millisecond
	// codePadding is what the length of a page is a multiple of: every page has one and the same.
	codePadding = 8 << 10
	// codeTyped bounds the form's body.
	codeTyped = 4 << 10
)

// ServeHTTP serves what stands under document.CodePath, in either case.
func (p *CodePages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	came := time.Now()
	secureCode(w.Header())
	name := r.URL.Path[min(len(document.CodePath), len(r.URL.Path)):]
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case name == p.sheet && read:
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(p.style)
	case name == "" && r.Method == http.MethodPost:
		p.typed(w, r, came)
	case name == "" && read:
		p.write(w, http.StatusOK, codeView{Form: true, Title: "查一份证照的状态"})
	case read:
		p.show(w, r, name, came)
	default:
		allow := "GET, HEAD"
		if name == "" {
			allow += ", POST"
		}
		w.Header().Set("Allow", allow)
		api.NewProblem("method-not-allowed").Write(w)
	}
}

// secureCode sets the headers of every answer. The address is what somebody holds who holds the document: it goes to nobody else.
func secureCode(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

// codeForm is what a typed code looks like; nothing else that is typed gets into an address.
var codeForm = regexp.MustCompile(fmt.Sprintf(`^[0-9A-Z]{%d}$`, document.CodeLength))

// typed leads from the form to the page of a code: the code alone, or the whole address as a scanner types it. What is typed may be anything, a
// personal number too, so it comes in a body.
func (p *CodePages) typed(w http.ResponseWriter, r *http.Request, came time.Time) {
	r.Body = http.MaxBytesReader(w, r.Body, codeTyped)
	if err := r.ParseForm(); err != nil {
		p.nothing(w, r, came)
		return
	}
	code := strings.ReplaceAll(license.NormalCode(r.PostForm.Get("code")), "-", "")
	if at := strings.LastIndexByte(code, '/'); at >= 0 {
		code = code[at+1:]
	}
	if !codeForm.MatchString(code) {
		p.nothing(w, r, came)
		return
	}
	w.Header().Set("Location", code) // relative, as every link here: a proxy may put the pages under a path of its own
	w.WriteHeader(http.StatusSeeOther)
}

// show shows the page of a code.
func (p *CodePages) show(w http.ResponseWriter, r *http.Request, code string, came time.Time) {
	leave, ok := p.config.Turn(r)
	if !ok {
		p.unavailable(w, r, came)
		return
	}
	now := p.config.Now()
	s, err := p.config.Find().Find(r.Context(), code, now)
	leave()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, audit.ErrTables): // of an altered row the store has raised the alarm
		p.nothing(w, r, came)
	case err != nil:
		p.config.Logger.ErrorContext(r.Context(), "the page of a document's code failed", "error", err.Error())
		p.unavailable(w, r, came)
	default:
		p.answer(w, r, http.StatusOK, viewOf(s), came)
	}
}

func (p *CodePages) nothing(w http.ResponseWriter, r *http.Request, came time.Time) {
	p.answer(w, r, http.StatusOK, codeView{state: noState}, came)
}

func (p *CodePages) unavailable(w http.ResponseWriter, r *http.Request, came time.Time) {
	w.Header().Set("Retry-After", "5")
	p.answer(w, r, http.StatusServiceUnavailable, codeView{state: busyState}, came)
}

// answer writes the page of a code on the grid.
func (p *CodePages) answer(w http.ResponseWriter, r *http.Request, status int, v codeView, came time.Time) {
	v.Title, v.Asked = v.Word, p.config.Now().In(license.Shanghai()).Format("2006-01-02 15:04:05")
	rest := time.NewTimer(codeInterval - time.Since(came)%codeInterval)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-r.Context().Done():
		return
	}
	p.write(w, status, v)
}

// write writes a page whole, in the one length.
func (p *CodePages) write(w http.ResponseWriter, status int, v codeView) {
	v.Sheet, v.Operator = p.sheet, p.config.Operator()
	var b bytes.Buffer
	if err := p.page.Execute(&b, v); err != nil {
		p.config.Logger.Error("the page of a document's code failed", "error", err.Error())
		api.NewProblem("internal").Write(w)
		return
	}
	b.Write(bytes.Repeat([]byte(" "), codePadding-b.Len()%codePadding))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", "zh-CN, en")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// A codeView is what the page shows.
type codeView struct {
	Title, Sheet, Operator string
	Form                   bool // the form instead of a code's page
	state
	Since              *sinceWords
	Type, Issuer, Tail string
	Asked              string
}

// A state is how a license stands, in words, with a sign and a tone: never by colour alone.
type state struct {
	Word, WordEn string
	Note         string // more about it, below; "" for nothing
	Tone         string // class of the style sheet: good, wait, bad or none
	Sign         string // path of the sign
}

type sinceWords struct{ Zh, En string }

const (
	signCheck = "M14 25l7 7 13-15"
	signPause = "M19 16v16M29 16v16"
	signCross = "M16 16l16 16M32 16l-16 16"
	signClock = "M24 13v11l8 5"
	signNone  = "M15 24h18"
)

// states by those of document.Standing.
var states = map[string]state{
	document.StateValid:      {"有效", "Valid", "", "good", signCheck},
	document.StateNotYet:     {"尚未生效", "Not yet valid", "", "wait", signClock},
	document.StateSuspended:  {"已暂停", "Suspended", "", "wait", signPause},
	document.StateRevoked:    {"已失效", "Revoked", "注销、吊销或撤销", "bad", signCross},
	document.StateSuperseded: {"已换发", "Superseded by a newer one", "", "bad", signCross},
	document.StateExpired:    {"已过期", "Expired", "", "bad", signClock},
	document.StateEnded:      {"已失效", "No longer valid", "", "bad", signCross},
}

var (
	noState   = state{"没有可显示的信息", "Nothing to show", "", "none", signNone}
	busyState = state{"暂时查不到", "Not available at the moment", "请稍后再试", "none", signClock}
)

func viewOf(s document.Standing) codeView {
	v := codeView{state: states[s.State], Type: s.Type, Issuer: s.Issuer, Tail: s.Tail}
	if !s.Since.IsZero() {
		day := s.Since.In(license.Shanghai())
		v.Since = &sinceWords{"自 " + day.Format("2006年1月2日") + " 起", "since " + day.Format("2 January 2006")}
		if s.State == document.StateNotYet {
			v.Since = &sinceWords{"自 " + day.Format("2006年1月2日") + " 起生效", "valid from " + day.Format("2 January 2006")}
		}
	}
	return v
}
