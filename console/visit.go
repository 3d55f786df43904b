package console

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/console/session"
	"oncegate/gateway"
	"oncegate/language"
)

//go:embed pages/*.html
var pageFiles embed.FS

// A page is one template with the layout around it, in each of its languages: they write dates in their own way.
type page map[language.Language]*template.Template

// shared are the templates that others use.
var shared = []string{"pages/layout.html", "pages/parts.html"}

// parsePages parses every template of pages/ together with the layout.
func parsePages() (map[string]page, error) {
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	pages := make(map[string]page)
	for _, l := range []language.Language{language.Chinese, language.English} {
		layout, err := template.New("layout.html").Funcs(words(l)).ParseFS(pageFiles, shared...)
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			if slices.Contains(shared, file) {
				continue
			}
			one, err := layout.Clone()
			if err == nil {
				_, err = one.Option("missingkey=error").ParseFS(pageFiles, file)
			}
			if err != nil {
				return nil, err
			}
			name := strings.TrimSuffix(strings.TrimPrefix(file, "pages/"), ".html")
			if pages[name] == nil {
				pages[name] = page{}
			}
			pages[name][l] = one
		}
	}
	return pages, nil
}

// A visit is one request of somebody who may be signed in.
type visit struct {
	*session.Session // nil: nobody is signed in
	console          *Console
	w                http.ResponseWriter
	r                *http.Request
	now              time.Time
	snapshot         *gateway.Snapshot
	hall             session.Hall
}

func (c *Console) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{console: c, w: w, r: r, now: c.Now(), snapshot: c.Snapshot(), Session: session.From(r.Context())}
	if v.Session != nil {
		v.hall, _ = c.Settings().Hall(v.Hall)
	}
	return v
}

func (v *visit) mayUse(roles []string) bool {
	return v.Session != nil && slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(v.Roles, r) })
}

// redirect leads to a page that shows what was done (post, redirect, get).
func (v *visit) redirect(path string) { http.Redirect(v.w, v.r, path, http.StatusSeeOther) }

// A frame is what the layout shows around a page, and what every template can use.
type frame struct {
	Lang      string // of the page: "zh-CN" or "en"
	Title     string
	Sheet     string // address of the style sheet
	Large     bool
	Contrast  bool
	Session   *session.Session
	Hall      session.Hall
	Tabs      []shownTab
	Outages   []outageLine
	Form      string // the session's form token
	Here      string // path of the page
	Once      func() string
	Now       time.Time
	Record    string // number for the help line; "" without one
	Handled   string // how many cases the hall has handled today; "" where it is not said
	Bilingual bool   // the page is there in English, too
	Paper     bool   // a page to print: no menu on paper, no banner
	Page      any
}

type shownTab struct {
	Path, Post, Once, Name string
	Current                bool
}

type outageLine struct {
	Department string
	Since      time.Time
	Until      time.Time
	Planned    bool
	Why        string
}

// A view is what one page shows: typed, so that a template that names something else fails its test.
type view interface {
	title() string
}

// recorded is a view that has a record to name at its foot.
type recorded interface{ record() string }

// withForm is a view of the Gate, whose forms have a token before there is a session.
type withForm interface{ formToken() string }

// windowPage is a view whose foot says how many cases the hall has handled today.
type windowPage interface{ atWindow() bool }

// paper is a view that is printed.
type paper interface{ paper() bool }

// render writes a page. It is built whole before its first byte leaves.
func (v *visit) render(status int, name string, page view) error {
	f := frame{
		Lang: "zh-CN", Title: page.title(), Sheet: v.console.sheets.path(v.prefers().Contrast), Large: v.prefers().Large, Contrast: v.prefers().Contrast,
		Session: v.Session, Hall: v.hall, Now: v.now, Page: page, Here: "/console/", Once: v.once, Bilingual: v.bilingual(),
	}
	if v.r.Method == http.MethodGet {
		f.Here = v.r.URL.EscapedPath()
	}
	if v.language() == language.English {
		f.Lang = "en"
	}
	if r, ok := page.(recorded); ok {
		f.Record = r.record()
	}
	if w, ok := page.(windowPage); ok && w.atWindow() {
		if n, ok := v.console.Handled(v.Hall); ok {
			f.Handled = sprint("今日办理 %d 件", n)
		}
	}
	if p, ok := page.(withForm); ok {
		f.Form = p.formToken()
	}
	if p, ok := page.(paper); ok {
		f.Paper = p.paper()
	}
	if v.Session != nil {
		f.Form, f.Tabs = v.FormToken, v.tabs()
	}
	if v.mayUse([]string{session.Clerk}) {
		f.Outages = v.outages()
	}
	var b bytes.Buffer
	tmpl := v.console.pages[name][v.language()]
	if tmpl == nil {
		return fmt.Errorf("there is no template %s", name)
	}
	if err := tmpl.ExecuteTemplate(&b, "layout", f); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	text := b.String()
	if strings.Contains(text, ` aria-invalid="true"`) || strings.Contains(text, ` role="alert"`) { // the title is what is heard first
		text = strings.Replace(text, "<title>", "<title>"+v.in("出错：", "Error: "), 1)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", f.Lang)
	v.w.WriteHeader(status)
	_, _ = undirected.WriteString(v.w, text)
	return nil
}

// undirected takes Unicode's controls of writing direction (UAX #9, explicit formatting characters and marks) out of a page: a name or a filename
// with one would turn round what stands behind it, times and amounts too. No language of the console needs them.
var undirected = strings.NewReplacer("\u061c", "", "\u200e", "", "\u200f", "", "\u202a", "", "\u202b", "", "\u202c", "", "\u202d", "", "\u202e", "",
	"\u2066", "", "\u2067", "", "\u2068", "", "\u2069", "")

func (v *visit) prefers() session.Preferences { return v.console.gate.PreferencesOf(v.r) }

// chineseOnly are the paths whose pages are in Chinese whatever the visitor prefers: the window's, and papers for a file.
var chineseOnly = regexp.MustCompile(`^/console/(window|due|file)|^/console/records/[^/]+/paper$`)

// language is that of the page: Chinese at the window, in the back office what the visitor prefers.
func (v *visit) language() language.Language {
	if v.prefers().Language != string(language.English) || !v.bilingual() {
		return language.Chinese
	}
	return language.English
}

func (v *visit) bilingual() bool { return !chineseOnly.MatchString(v.r.URL.Path) }

func (v *visit) tabs() (list []shownTab) {
	for _, t := range tabs {
		if !v.mayUse(t.roles) {
			continue
		}
		shown := shownTab{Path: t.path, Post: t.post, Name: t.zh, Current: strings.HasPrefix(v.r.URL.Path, t.under) || t.path == "/console/window" && strings.HasPrefix(v.r.URL.Path, "/console/file/")}
		if v.language() == language.English {
			shown.Name = t.en
		}
		if t.post != "" {
			shown.Once = v.once()
		}
		list = append(list, shown)
	}
	return list
}

// outages are the sources that do not answer, then maintenance that is to begin, by the names of the departments, each once.
func (v *visit) outages() (list []outageLine) {
	for _, o := range v.console.Outages() {
		line := outageLine{Department: v.department(o.Department), Since: o.Since, Until: o.Until, Planned: o.Planned, Why: v.in(o.Why.Zh, cmp.Or(o.Why.En, o.Why.Zh))}
		if !slices.ContainsFunc(list, func(l outageLine) bool { return l.Department == line.Department && l.Planned == line.Planned }) {
			list = append(list, line)
		}
	}
	return list
}

// once is a new one-time form id.
func (v *visit) once() string {
	var b [16]byte
	if _, err := io.ReadFull(v.console.Rand, b[:]); err != nil {
		panic("console: no randomness: " + err.Error()) // crypto/rand never fails
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// A messagePage says one thing and what to do.
type messagePage struct {
	Sentence, Do string
	Again        bool   // the same may succeed later
	To, ToName   string // where to go on; empty: to the first page
	Number       string
}

func (m messagePage) title() string  { return m.Sentence }
func (m messagePage) record() string { return m.Number }

// A bilingual message.
type bilingual struct{ zh, en messagePage }

func noticeOf(zh, doZh, en, doEn string) bilingual {
	return bilingual{messagePage{Sentence: zh, Do: doZh}, messagePage{Sentence: en, Do: doEn}}
}

func (b bilingual) in(l language.Language) messagePage {
	if l == language.English {
		return b.en
	}
	return b.zh
}

// refuse shows a message instead of a page.
func (v *visit) refuse(status int, m bilingual) {
	if err := v.render(status, "message", m.in(v.language())); err != nil {
		v.console.Logger.ErrorContext(v.r.Context(), "page failed", "path", v.r.URL.Path, "error", err.Error())
		http.Error(v.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

// problem shows a problem as a page: its sentence, what to do, and the number of its record.
func (v *visit) problem(p *api.Problem, record string) {
	zh := messagePage{Sentence: p.Zh, Do: p.Advice.Zh, Again: p.Retry, Number: record}
	en := messagePage{Sentence: p.En, Do: p.Advice.En, Again: p.Retry, Number: record}
	switch {
	case p.Code == "log-entry-not-found":
		zh.Do, en.Do = "请核对记录号，或在“查询”里找。", "Check the number, or search for the record."
	case strings.Contains(zh.Do, "/v1/") || strings.Contains(en.Do, "/v1/"): // said to programs
		zh.Do, en.Do = "", ""
	}
	v.refuse(p.Status, bilingual{zh, en})
}

// failed shows that a page could not be made. What went wrong stands in the log, without what was typed.
func (v *visit) failed(err error) {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		v.problem(p, "")
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		v.refuse(http.StatusNotFound, noticeOf("这一页已经不在了。", "结果只保留到下班。请重新查一次。", "This page is gone.", "Results are kept until the end of the day. Please start again."))
		return
	}
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) || errors.Is(err, errTooLarge) {
		v.refuse(http.StatusRequestEntityTooLarge, noticeOf("文件太大。", "请压缩后再上传，或分开上传。", "The file is too large.", "Make it smaller, or upload it in parts."))
		return
	}
	if errors.Is(err, errBadForm) {
		v.refuse(http.StatusBadRequest, noticeOf("表单没有传完整。", "请返回上一页再提交一次。", "The form did not arrive whole.", "Go back and send it again."))
		return
	}
	v.console.Logger.ErrorContext(v.r.Context(), "page failed", "path", v.r.Pattern, "error", err.Error())
	v.refuse(http.StatusInternalServerError, noticeOf("系统出了问题，这一页没有做成。", "请再试一次；还不行，请打帮助电话。", "Something went wrong, and the page could not be made.", "Try again, or call the help line."))
}
