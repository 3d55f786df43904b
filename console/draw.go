package console

import (
	"net/http"
	"slices"
	"time"

	"oncegate/console/session"
	"oncegate/language"
)

// Draw draws what the Gate shows: signing in, the choice of a place, the lock, and refusals (session.Pages).
func (c *Console) Draw(w http.ResponseWriter, r *http.Request, status int, shown any) {
	v := c.visit(w, r)
	var err error
	switch s := shown.(type) {
	case *session.SignIn:
		err = v.render(status, "signin", v.signIn(s))
	case *session.Place:
		err = v.render(status, "place", v.place(s))
	case *session.Lock:
		err = v.render(status, "lock", v.lock(s))
	case *session.Refused:
		v.refuse(status, bilingual{messagePage{Sentence: session.Sentence(s.Code, "zh")}, messagePage{Sentence: session.Sentence(s.Code, "en")}})
	}
	if err != nil {
		v.failed(err)
	}
}

// A signInPage is where people sign in.
type signInPage struct {
	*session.SignIn
	Name  string // of the page
	Focus string
	Sorry string
	Idle  int // minutes without use after which the session is locked; said beforehand (WCAG 2.2.1)
	Zh    bool
}

func (p signInPage) title() string     { return p.Name }
func (p signInPage) formToken() string { return p.Form }

func (v *visit) signIn(s *session.SignIn) signInPage {
	p := signInPage{SignIn: s, Name: v.in("登录", "Sign in"), Focus: "account", Sorry: v.fault(s.Fault, s.Wait), Idle: int(v.console.Settings().WithDefaults().Idle / time.Minute), Zh: v.language() == language.Chinese}
	if s.Account != "" {
		p.Focus = "password"
	}
	return p
}

// fault is the sentence of a code of the Gate, with how long to wait.
func (v *visit) fault(code string, wait time.Duration) string {
	if code == "" {
		return ""
	}
	text := session.Sentence(code, string(v.language()))
	if seconds := int(wait.Round(time.Second) / time.Second); seconds > 0 {
		text += v.in(sprint("请等 %d 秒。", seconds), sprint(" Wait %d seconds.", seconds))
	}
	return text
}

// A placePage is where a person chooses the hall and the window.
type placePage struct {
	*session.Place
	Name  string
	Sorry string
	Desks []string // of all halls, each once
	Zh    bool
}

func (p placePage) title() string     { return p.Name }
func (p placePage) formToken() string { return p.Form }

func (v *visit) place(s *session.Place) placePage {
	p := placePage{Place: s, Name: v.in("选择工作地点", "Where do you work?"), Sorry: v.fault(s.Fault, 0), Zh: v.language() == language.Chinese}
	for _, h := range s.Halls {
		for _, d := range h.Desks {
			if !slices.Contains(p.Desks, d) {
				p.Desks = append(p.Desks, d)
			}
		}
	}
	return p
}

// A lockPage asks for the second factor again.
type lockPage struct {
	*session.Lock
	Name  string
	Why   string
	Sorry string
	Zh    bool
}

func (p lockPage) title() string     { return p.Name }
func (p lockPage) formToken() string { return p.Form }

func (v *visit) lock(s *session.Lock) lockPage {
	p := lockPage{Lock: s, Name: v.in("已锁定", "Locked"), Why: session.Sentence(s.Code, string(v.language())), Sorry: v.fault(s.Fault, s.Wait), Zh: v.language() == language.Chinese}
	if s.Code == session.CodeFresh {
		p.Name = v.in("再验证一次身份", "Prove once more that it is you")
	}
	return p
}
