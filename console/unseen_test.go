package console

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"oncegate/cases"
	"oncegate/console/consoletest"
	"oncegate/console/session"
)

// TestUnseen holds all families of pages, in their states, to what axe-core cannot see.
func TestUnseen(t *testing.T) {
	hold := func(name, text string) {
		t.Helper()
		for _, fault := range consoletest.Read(t, text).Unseen() {
			t.Errorf("%s: %s", name, fault)
		}
	}
	for _, language := range []string{"", "en"} {
		// auditors and supervisors, the Gate
		for _, role := range []string{session.Auditor, session.Supervisor} {
			d := atAudit(t, role, "")
			d.session.Preferences.Language = language
			for _, one := range d.auditorStates("a note") {
				hold(role+" "+one.name, one.html)
				if one.name == "sign-in" && !regexp.MustCompile(`20 分钟会锁定|20 minutes without use`).MatchString(one.html) {
					t.Error("nobody says before it happens that the page locks")
				}
				if one.name == "lock" && !regexp.MustCompile(`刚才提交的内容还在|What you sent is kept`).MatchString(one.html) {
					t.Error("the lock does not say that what was sent is kept")
				}
			}
			if role == session.Auditor {
				record := ""
				for _, one := range d.auditorStates("a note") {
					if one.name == "record-plain" {
						record = one.path
					}
				}
				hold("judge-nothing", d.post(record+"/dispose", "once", d.console.visit(nil, httpRequest()).once(), "note", "a note"))
			}
		}
		// holders
		d := atPhone(t)
		d.session.Preferences.Language = language
		for _, s := range holderStates(d, "某单位") {
			hold("holder "+s.name, d.open(s))
		}
		// operators
		d = atServer(t)
		d.session.Preferences.Language = language
		hold("node", d.get("/console/node"))
		d.answer = d.running(d.troubled)
		hold("node troubled", d.lookAtNode().HTML)
	}
	// the window
	d := atDesk(t)
	once := func() string { return d.console.visit(nil, httpRequest()).once() }
	for name, pairs := range map[string][]string{
		"empty scan": {"at", "scan"}, "wrong scan": {"at", "scan", "scan", "379901198503072315"}, "wrong applicant": {"at", "applicant", "matter", "YC-FOOD-01", "applicant", "91379901MA9920002", "go", "1"},
		"agent": {"at", "applicant", "matter", "YC-FOOD-01", "applicant", "91379901MA9920002Q", "who", "agent", "go", "1"}, "wrong agent": {"at", "applicant", "matter", "YC-FOOD-01", "applicant", "91379901MA9920002", "who", "agent", "person", "1", "until", "x", "go", "1"},
	} {
		hold(name, d.post("/console/window", append([]string{"once", once()}, pairs...)...))
	}
	d.answer = d.flat(manyThings)
	page := d.checked("SP-1")
	hold("result", page.HTML)
	id := strings.TrimPrefix(regexp.MustCompile(`/console/window/[A-Za-z0-9_-]{22}`).FindString(page.HTML), "/console/window/")
	for _, path := range []string{"/notice", "/promise/YC-LAND-07/tax-clearance", "/receive/YC-LAND-07/tax-clearance"} {
		hold(path, d.get("/console/window/"+id+path))
	}
	hold("received nothing", d.post("/console/window/"+id+"/receive/YC-LAND-07/tax-clearance", "once", once()))
	hold("received no scan", d.post("/console/window/"+id+"/receive/YC-LAND-07/tax-clearance", "once", once(), "how", cases.HowUploaded))
	hold("verify", d.get("/console/verify"))
	hold("verify nothing", d.post("/console/verify", "once", once()))
	// the public pages of codes
	server, _ := codeServer(t, allStates(), nil)
	for code := range allStates() {
		_, body := get(t, server.URL+"/v/"+code)
		hold("code", body)
	}
	for _, path := range []string{"", "none", "down"} {
		_, body := get(t, server.URL+"/v/"+path)
		hold("code "+path, body)
	}
	// the order on the screen is that of the page
	for _, name := range []string{"style.css", "code.css"} {
		css, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if moved := regexp.MustCompile(`(^|[\s;{])order\s*:|-reverse|float\s*:|position\s*:\s*fixed`).FindString(string(css)); moved != "" {
			t.Errorf("%s moves things: %s", name, moved)
		}
	}
}
