package session

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"oncegate/console/barcode"
	"oncegate/fault"
)

// Settings are the section console of the configuration: where people sign in, who they can be, and for which halls they act. The console
// is served where the section exists. Its fields are the manual.
type Settings struct {
	// Accounts is the file of local accounts (oncegate console account), sealed under the envelope key, readable by the gateway only. Empty:
	// there are no local accounts. A local account is the system's word: records say operator_proof asserted.
	Accounts string `yaml:"accounts"`
	// Idle locks a session that was not used for so long, 1m to 60m; default 20m. The second factor opens it again.
	Idle time.Duration `yaml:"idle"`
	// Longest is the absolute end of a session, 10m to 12h after it was opened; default 12h. A hall's day ends it earlier.
	Longest time.Duration `yaml:"longest"`
	// Fresh is how long after a second factor sensitive pages open without another one, 1m to 15m; default 5m.
	Fresh time.Duration `yaml:"fresh"`
	// Halls are the places for which a session acts; each is a system.
	Halls []Hall `yaml:"halls"`
	// Codes say what codes stand for that are scanned at windows; the first whose pattern matches counts.
	Codes []barcode.Rule `yaml:"codes"`
	// Providers are identity providers through which people sign in.
	Providers []Provider `yaml:"providers"`
}

// A Hall (办事大厅, or an office such as the audit office) acts for the department that commissions it, as a system of the configuration:
// grants and permissions of that system are its rights.
type Hall struct {
	System  string   `yaml:"system"`  // id of the system for which sessions of the hall act
	Name    string   `yaml:"name"`    // shown on pages
	Roles   []string `yaml:"roles"`   // which of the console's roles there are in this hall
	Desks   []string `yaml:"desks"`   // numbers of its windows; chosen at sign-in
	Matters []string `yaml:"matters"` // codes of its usual matters, at most 10
	Phone   string   `yaml:"phone"`   // of the help line
	Opens   string   `yaml:"opens"`   // such as "08:30", in China's time; shown on pages
	Address string   `yaml:"address"` // printed on notices
	Prefix  string   `yaml:"prefix"`  // of the numbers of cases that the hall registers itself: letters and digits, at most 16; default "CK"
	Notice  Notice   `yaml:"notice"`  // what the parties of a case are told before licenses are looked up
	Closes  string   `yaml:"closes"`  // end of the day, such as "18:00": sessions of the hall end then; empty: Longest alone ends them
}

// A Notice (告知书) is the text by which the parties of a case are told what is looked up about them, and why (个人信息保护法 art. 17, 35).
type Notice struct {
	Version string `yaml:"version"` // such as "2026-03": recorded with each check
	Text    string `yaml:"text"`    // paragraphs, one a line; printed for who asks
}

// The console's roles. What each may open stands in routes.yaml.
const (
	Clerk           = "clerk"            // 窗口工作人员: checks materials for cases
	Auditor         = "auditor"          // 审计人员: searches and judges records
	Supervisor      = "supervisor"       // 审计监督人员: sees who looked at auditors' inquiries
	Operator        = "operator"         // 运维人员: nodes, log, certificates
	SecurityOfficer = "security-officer" // 安全管理员: accounts, sign-ins
	Steward         = "steward"          // 数据管理员: sources and grants of a department
	Head            = "head"             // 单位负责人: figures of a department
	Requester       = "requester"        // 申请人员: asks for grants
	Approver        = "approver"         // 审批人员: approves what a requester asked for
	Holder          = "holder"           // 持证主体: own licenses and who used them
)

// Roles are all roles of the console.
var Roles = []string{Clerk, Auditor, Supervisor, Operator, SecurityOfficer, Steward, Head, Requester, Approver, Holder}

// A conflict is a pair of roles that nobody may have at once (separation of duties, 职责分离). The three powers (三员: 系统管理员、安全管理员、
// 审计管理员, GB/T 22239-2019 8.1.5) exclude each other wherever they are held; the other pairs within one department.
type conflict struct {
	one, other string
	anywhere   bool
}

var conflicts = []conflict{
	{Operator, SecurityOfficer, true}, {Operator, Auditor, true}, {SecurityOfficer, Auditor, true},
	{Approver, Requester, true},
	{Head, Auditor, false}, {Steward, Auditor, false},
}

// An Assignment gives a person a role in a hall.
type Assignment struct {
	Role string `yaml:"role" json:"role"`
	Hall string `yaml:"hall" json:"hall"` // id of the hall's system
}

// ConflictOf returns the first two assignments that no person may have at once. department is that of a hall's system.
func ConflictOf(all []Assignment, department func(hall string) string) (one, other Assignment, found bool) {
	for i, a := range all {
		for _, b := range all[i+1:] {
			for _, c := range conflicts {
				pair := a.Role == c.one && b.Role == c.other || a.Role == c.other && b.Role == c.one
				if pair && (c.anywhere || department(a.Hall) == department(b.Hall)) {
					return a, b, true
				}
			}
		}
	}
	return Assignment{}, Assignment{}, false
}

// Bounds and defaults of sessions.
const (
	defaultIdle  = 20 * time.Minute
	defaultFresh = 5 * time.Minute
	longest      = 12 * time.Hour
	maxMatters   = 10
	maxDesks     = 200
	maxNotice    = 4096
	maxName      = 64 // bytes of names, desks and phones
)

// WithDefaults returns the settings with the defaults of what is left open.
func (s Settings) WithDefaults() Settings {
	for at, value := range map[*time.Duration]time.Duration{&s.Idle: defaultIdle, &s.Longest: longest, &s.Fresh: defaultFresh} {
		if *at == 0 {
			*at = value
		}
	}
	return s
}

// Known is what the rest of the configuration says that Check compares settings with.
type Known struct {
	Departments map[string]string   // of systems, by their ids
	Matters     map[string]bool     // codes
	Services    map[string][]string // ids of identity services: the systems that they may speak for
	Loopback    bool                // the console is reached over plain HTTP on this machine only
}

var (
	prefixForm  = regexp.MustCompile(`^[A-Za-z0-9]{1,16}$`)
	versionForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,31}$`)
)

var clockForm = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

// Check reports every fault at once, by YAML path below the section.
func (s Settings) Check(known Known) (f fault.List) {
	between := func(at string, d, least, most time.Duration) {
		f.Unless(d == 0 || d >= least && d <= most, at, "a duration of %s to %s is expected", least, most)
	}
	between("$.idle", s.Idle, time.Minute, time.Hour)
	between("$.longest", s.Longest, 10*time.Minute, longest)
	between("$.fresh", s.Fresh, time.Minute, 15*time.Minute)
	f.Unless(len(s.Halls) > 0, "$.halls", "there is no hall, so nobody could act for anybody")
	f.Unless(s.Accounts != "" || len(s.Providers) > 0, "$", "nobody could sign in: name a provider, or a file of local accounts")
	systems := f.Unique()
	for i, h := range s.Halls {
		at := fmt.Sprintf("$.halls[%d]", i)
		systems(at+".system", h.System)
		h.check(&f, at, known)
	}
	f.Under("$.codes", barcode.Check(s.Codes))
	ids := f.Unique()
	for i, p := range s.Providers {
		at := fmt.Sprintf("$.providers[%d]", i)
		ids(at+".id", p.ID)
		f.Under(at, p.check(s, known))
	}
	return f
}

func (h Hall) check(f *fault.List, at string, known Known) {
	_, there := known.Departments[h.System]
	f.Unless(there, at+".system", "there is no system %q", fault.Clip(h.System))
	f.Unless(shown(h.Name), at+".name", "a name of 1 to %d bytes is expected", maxName)
	f.Unless(len(h.Roles) > 0, at+".roles", "nobody has a role in this hall")
	roles := f.Unique()
	for i, r := range h.Roles {
		roles(fmt.Sprintf("%s.roles[%d]", at, i), r)
		f.Unless(slices.Contains(Roles, r), fmt.Sprintf("%s.roles[%d]", at, i), "there is no role %q; the console has %s", fault.Clip(r), strings.Join(Roles, ", "))
	}
	f.Unless(len(h.Desks) <= maxDesks, at+".desks", "a hall has at most %d windows", maxDesks)
	desks := f.Unique()
	for i, d := range h.Desks {
		desks(fmt.Sprintf("%s.desks[%d]", at, i), d)
		f.Unless(shown(d), fmt.Sprintf("%s.desks[%d]", at, i), "the number of a window has 1 to %d bytes", maxName)
	}
	f.Unless(len(h.Matters) <= maxMatters, at+".matters", "a hall has at most %d usual matters", maxMatters)
	matters := f.Unique()
	for i, m := range h.Matters {
		matters(fmt.Sprintf("%s.matters[%d]", at, i), m)
		f.Unless(known.Matters[m], fmt.Sprintf("%s.matters[%d]", at, i), "there is no matter %q", fault.Clip(m))
	}
	f.Unless(len(h.Phone) <= maxName, at+".phone", "a telephone number has at most %d bytes", maxName)
	f.Unless(len(h.Address) <= 2*maxName, at+".address", "an address has at most %d bytes", 2*maxName)
	f.Unless(h.Prefix == "" || prefixForm.MatchString(h.Prefix), at+".prefix", "1 to 16 letters and digits are expected")
	f.Unless((h.Notice.Version == "") == (h.Notice.Text == ""), at+".notice", "a notice has a version and a text")
	f.Unless(h.Notice.Version == "" || versionForm.MatchString(h.Notice.Version), at+".notice.version", "1 to 32 letters, digits, dots, underscores and hyphens are expected")
	f.Unless(len(h.Notice.Text) <= maxNotice, at+".notice.text", "a notice has at most %d bytes", maxNotice)
	for key, text := range map[string]string{"opens": h.Opens, "closes": h.Closes} {
		f.Unless(text == "" || clockForm.MatchString(text), at+"."+key, "a time of day such as \"08:30\" is expected")
	}
}

func shown(text string) bool {
	return text != "" && len(text) <= maxName && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Hall returns the hall of a system.
func (s Settings) Hall(system string) (Hall, bool) {
	i := slices.IndexFunc(s.Halls, func(h Hall) bool { return h.System == system })
	if i < 0 {
		return Hall{}, false
	}
	return s.Halls[i], true
}

// end returns when a session that is opened now ends at the latest.
func (h Hall) end(now time.Time, longest time.Duration, zone *time.Location) time.Time {
	end := now.Add(longest)
	if h.Closes == "" {
		return end
	}
	at, err := time.Parse("15:04", h.Closes)
	if err != nil { // Check refuses it
		return end
	}
	local := now.In(zone)
	closes := time.Date(local.Year(), local.Month(), local.Day(), at.Hour(), at.Minute(), 0, 0, zone)
	if closes.After(now) && closes.Before(end) {
		return closes
	}
	return end
}

func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.Fragment == ""
}
