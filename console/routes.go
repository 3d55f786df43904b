package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"oncegate/console/session"
)

// A route is one row of the table of pages. Who may open it stands in session/routes.yaml, which the Gate enforces.
type route struct {
	pattern    string   // method and path as http.ServeMux has them
	operations []string // what it calls; none: it shows what was kept, or a form
	page       string   // template of its page; "" for a route that only redirects
	serve      func(v *visit) error
}

// table has one row per page and form. A family of pages adds its own rows.
func (c *Console) table() []route {
	return slices.Concat(
		[]route{{pattern: "GET /console/{$}", serve: c.home}},
		c.windowRoutes(),
		c.caseFileRoutes(),
		c.holderRoutes(),
		c.auditorRoutes(),
		c.operatorRoutes(),
	)
}

// inside serves the table to whoever the Gate let in.
func (c *Console) inside() http.Handler {
	mux := http.NewServeMux()
	for _, r := range c.routes {
		mux.Handle(r.pattern, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			v := c.visit(w, req)
			if v.Session == nil { // the Gate lets nobody here; this holds whatever its table says
				v.redirect(signInPath)
				return
			}
			if err := r.serve(v); err != nil {
				v.failed(err)
			}
		}))
	}
	mux.HandleFunc("GET /console/{file}", c.file)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { c.visit(w, r).unknown() })
	return mux
}

const signInPath = "/console/sign-in"

// home leads to the first page of the visitor's roles.
func (c *Console) home(v *visit) error {
	for _, tab := range tabs {
		if v.mayUse(tab.roles) && tab.path != "" {
			v.redirect(tab.path)
			return nil
		}
	}
	v.refuse(http.StatusForbidden, noticeOf("您的岗位在这里还没有页面。", "请与单位的安全管理员联系。", "Your role has no page here.", "Ask your security officer."))
	return nil
}

// unknown answers for addresses that are no page.
func (v *visit) unknown() {
	v.refuse(http.StatusNotFound, noticeOf("没有这一页。", "请从页首的菜单进入。", "There is no such page.", "Go on from the menu at the top."))
}

// checkRoutes finds rows that could not be served.
func checkRoutes(all []route, pages map[string]page) error {
	seen := map[string]bool{}
	for _, r := range all {
		switch {
		case seen[r.pattern]:
			return fmt.Errorf("route %s stands twice", r.pattern)
		case !strings.Contains(r.pattern, " /console/"):
			return fmt.Errorf("route %s is not below /console/", r.pattern)
		case r.page != "" && pages[r.page] == nil:
			return fmt.Errorf("route %s: there is no template %s", r.pattern, r.page)
		}
		seen[r.pattern] = true
	}
	return nil
}

// A tab is one entry of the menu. What makes a call is a form with a button: reading a page again never calls.
type tab struct {
	path, post string // address, or where its form posts
	zh, en     string
	roles      []string
	under      string // prefix of the paths on which it is the current one
}

// tabs are the menu, in its order.
var tabs = []tab{
	{path: "/console/window", zh: "查材料", en: "Check materials", roles: []string{session.Clerk}, under: "/console/window"},
	{post: "/console/due", zh: "待办", en: "Due", roles: []string{session.Clerk}, under: "/console/due"},
	{path: "/console/holder", zh: "我的证照", en: "My licenses", roles: []string{session.Holder}, under: "/console/holder"},
	{post: "/console/today", zh: "今日", en: "Today", roles: []string{session.Auditor, session.Supervisor}, under: "/console/today"},
	{path: "/console/search", zh: "查询", en: "Search", roles: []string{session.Auditor, session.Supervisor}, under: "/console/search"},
	{path: "/console/node", zh: "运行状况", en: "How it runs", roles: []string{session.Operator}, under: "/console/node"},
	{path: "/console/verify", zh: "核验证照", en: "Verify a license", roles: []string{session.Clerk, session.Auditor, session.Steward}, under: "/console/verify"},
}
