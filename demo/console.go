package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"oncegate/console/session"
	"oncegate/install"
)

// consoleRoles are the made-up people who can sign in to the console, one for every kind of page. Nobody has two.
var consoleRoles = []struct {
	id, name string
	what     text
	roles    []session.Assignment
}{
	{"clerk", "周晓梅", text{"窗口工作人员", "window clerk"}, []session.Assignment{{Role: session.Clerk, Hall: "street-hall"}, {Role: session.Clerk, Hall: "street-land"}}},
	{"auditor", "钱立新", text{"审计人员", "auditor"}, []session.Assignment{{Role: session.Auditor, Hall: "audit-office"}}},
	{"supervisor", "孙明远", text{"审计监督人员", "audit supervisor"}, []session.Assignment{{Role: session.Supervisor, Hall: "audit-supervision"}}},
	{"steward", "李文静", text{"数据管理员", "data steward"}, []session.Assignment{{Role: session.Steward, Hall: "samr-licenses"}}},
	{"head", "郑国栋", text{"单位负责人", "head of a department"}, []session.Assignment{{Role: session.Head, Hall: "samr-licenses"}}},
	{"operator", "吴海峰", text{"运维人员", "operator"}, []session.Assignment{{Role: session.Operator, Hall: "operations"}}},
	{"security", "王思齐", text{"安全管理员", "security officer"}, []session.Assignment{{Role: session.SecurityOfficer, Hall: "operations"}}},
}

// openConsole gives the console its accounts, unless a run before did. They have one password and no second factor, which the console takes on
// loopback only.
func (st *stage) openConsole(context.Context) error {
	accounts, err := install.OpenAccounts(st.mainFile(), nil)
	if err != nil {
		return fmt.Errorf("make accounts of the console: %w", err)
	}
	name := st.path("gateway", "secrets", "console.password")
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		data = []byte(strings.ToLower(rand.Text()[:12]) + "\n")
		err = os.WriteFile(name, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("make accounts of the console: %w", err)
	}
	st.password = strings.TrimSpace(string(data))
	if len(accounts.List()) > 0 {
		return nil
	}
	hash, err := session.HashPassword(st.password)
	if err != nil {
		return err
	}
	var all []session.Account
	for _, r := range consoleRoles {
		all = append(all, session.Account{ID: r.id, Name: r.name, Password: hash, Assignments: r.roles})
	}
	if err := accounts.Put(all...); err != nil {
		return fmt.Errorf("make accounts of the console: %w", err)
	}
	return nil
}

// console says where people sign in.
func (p *printer) console(st *stage) {
	p.printf("\n   %s\n   %s\n", p.styled(dim, p.in(text{"工作台：用浏览器打开；以下账号密码相同，动态口令留空", "the console, for a browser; these accounts have one password, and no one-time code"})), st.node.PublicURL()+"/console/")
	p.printf("   %s %s\n", p.in(text{"密码", "password"}), p.styled(bold, st.password))
	for _, r := range consoleRoles {
		p.printf("   %s%s\n", pad(r.id, 12), p.in(r.what))
	}
	if st.identity == "" {
		return
	}
	p.printf("\n   %s\n   %s\n", p.styled(dim, p.in(text{"持证人：同一地址，点“云川市政务服务网实名登录”，选一个人；选丈夫可以先查不动产转移登记", "holders: the same address, 云川市政务服务网实名登录, and choose a person; the husband can check the transfer of a flat"})), st.node.PublicURL()+"/console/holder")
	for _, one := range st.people() {
		p.printf("   %s%s\n", pad(one.Name, 12), p.in(text{one.Zh, one.En}))
	}
}
