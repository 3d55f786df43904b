package hammer

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"oncegate/certs/sm"
	"oncegate/client"
	"oncegate/config"
	"oncegate/deploy"
	"oncegate/install"
	"oncegate/license"
	"oncegate/node"
)

// Of the sample city, as deploy/city has it.
const (
	acceptance = "acceptance"      // registers cases
	approval   = "food-approval"   // queries and checks
	platform   = "invest-platform" // checks chains
	auditor    = "audit-office"    // reads the log
	foodMatter = "YC-FOOD-01"
	region     = "379901" // belongs to nobody
)

// A city is the folder of one run: the sample city's configuration, with limits raised for load, over a legacy database of made-up companies.
//
//	DIR/city/market.db  the business register of market regulation
//	DIR/gateway/        the gateway
//	DIR/answers         what it answered
type city struct {
	dir       string
	service   string // host:port
	admin     string // host:port
	companies []string
}

func (c *city) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}
func (c *city) mainFile() string { return c.path("gateway", "oncegate.yaml") }

// newCity writes the configuration and the legacy database of a gateway; install.Prepare makes the rest. The folder must be empty or new.
func newCity(dir, dsn string, companies int, slow *slowSources) (*city, error) {
	c := &city{dir: dir}
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		return nil, fmt.Errorf("%s is not empty: %w", dir, fs.ErrExist)
	}
	var err error
	if c.service, err = freeAddress(); err != nil {
		return nil, err
	}
	if c.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.path("city"), 0o700); err != nil {
		return nil, err
	}
	for i := range companies {
		c.companies = append(c.companies, companyCode(i))
	}
	if err := c.fillRegister(); err != nil {
		return nil, fmt.Errorf("fill the business register: %w", err)
	}
	return c, c.configure(dsn, slow)
}

// configure writes the sample city with one legacy system, and beside it the matter of eight slow sources.
func (c *city) configure(dsn string, slow *slowSources) error {
	err := fs.WalkDir(deploy.City(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(name, "sources/") && name != "sources/market.yaml" {
			return err
		}
		data, err := fs.ReadFile(deploy.City(), name)
		if err != nil {
			return err
		}
		switch name {
		case "oncegate.yaml":
			data, err = edit(data, c.edits(dsn)...)
		case "sources/market.yaml": // a busy machine is no source that is down
			data, err = edit(data, "deadline: 2s", "deadline: 10s")
		case "catalogue.yaml":
			data = append(data, slow.types()...)
		}
		return errors.Join(err, c.write(name, data))
	})
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return errors.Join(
		c.write("eight-matters.yaml", []byte(slow.matters())), c.write("policy/eight.yaml", []byte(slow.grants())),
		c.write("sources/eight.yaml", []byte(slow.sources())), c.write("postgres.dsn", []byte(dsn+"\n")),
	)
}

// edits are text replacements that raise the limits of the sample's main file.
func (c *city) edits(dsn string) []string {
	list := []string{
		"127.0.0.1:8420", c.service, "127.0.0.1:8421", c.admin,
		"matters: [matters.yaml]", "matters: [matters.yaml, eight-matters.yaml]",
		"policy/permissions.yaml]", "policy/permissions.yaml, policy/eight.yaml]",
		"in_flight: 1024", fmt.Sprint("in_flight: ", maxCallers*2),
	}
	for _, system := range []string{acceptance, approval, platform, auditor} {
		list = append(list, "certificates/"+system+"-1.pem]}", "certificates/"+system+"-1.pem], rate: 1000000}")
	}
	if dsn != "" {
		list = append(list, "driver: sqlite", "driver: postgres", "path: data/oncegate.db", "dsn_file: postgres.dsn")
	}
	return list
}

// edit replaces texts in a file. A text that is not found is an error: the sample has changed.
func edit(data []byte, pairs ...string) ([]byte, error) {
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return nil, fmt.Errorf("the sample city has no %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return []byte(text), nil
}

func (c *city) write(name string, data []byte) error {
	path := c.path("gateway", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// freeAddress returns a loopback address with a free port.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

const registerSchema = `create table t_scztxx (
	ztid integer primary key, tyshxydm text not null unique, zzbh text not null, qymc text not null, qylx_dm text not null, fddbr text not null,
	fddbr_zjhm text not null, zczb_wy real, zs text, jyfw text, clrq text not null, fzrq text not null, yxq_z text not null, zt_dm text not null
)`

// fillRegister makes market regulation's database, with the columns that deploy/city/sources/market.yaml reads.
func (c *city) fillRegister() (err error) {
	db, err := sql.Open("sqlite", "file:"+c.path("city", "market.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(registerSchema); err != nil {
		return err
	}
	for i, code := range c.companies {
		founded := fmt.Sprintf("20%02d%02d%02d", 10+i%14, 1+i%12, 1+i%28)
		_, err := tx.Exec(`insert into t_scztxx values (?, ?, ?, ?, '1130', ?, ?, ?, ?, ?, ?, ?, '99991231', '1')`,
			i+1, code, fmt.Sprintf("%s%05d(1-1)", region, i+1), fmt.Sprintf("云川示例春禾食品第%d有限公司", i+1), "甲子丑", personCode(i),
			float64(10+i%490), fmt.Sprintf("云川市示例区春风路%d号", i+1), "食品销售；餐饮服务", founded, founded)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// companyCode makes the n-th credit code, whose organisation code is right too. Nobody has it.
func companyCode(n int) string {
	for _, check := range "0123456789X" {
		code, err := license.MakeUSCC(fmt.Sprintf("91%sMA9%05d%c", region, 30000+n, check))
		if err == nil && license.CheckInnerCode(code) == nil {
			return code
		}
	}
	panic("every organisation code has a check character")
}

// personCode makes the n-th identity number. Nobody has it.
func personCode(n int) string {
	code, err := license.MakeResidentID(fmt.Sprintf("%s%04d%02d%02d%03d", region, 1960+n%40, 1+n%12, 1+n%28, n%998+1))
	if err != nil {
		panic(err) // the digits above are always sound
	}
	return code
}

// caseNumber is the number of a company's case.
func caseNumber(company int) string { return fmt.Sprintf("HM-2026-%06d", company) }

// An installation is a city with keys: the gateway's, and those that its callers sign with.
type installation struct {
	*city
	setup   *config.Setup
	signers map[string]sm.Signer // by system
}

// newInstallation makes keys, certificates and the log.
func newInstallation(ctx context.Context, c *city, cost int) (*installation, error) {
	prepared, err := install.Prepare(ctx, c.mainFile(), install.PrepareOptions{Cost: cost})
	if err != nil {
		return nil, err
	}
	in := &installation{city: c, setup: prepared.Setup, signers: map[string]sm.Signer{}}
	keys, err := install.OpenCallers(in.setup, "")
	if err != nil {
		return nil, err
	}
	for _, system := range []string{acceptance, approval, platform, auditor} {
		if in.signers[system], err = install.CallerSigner(in.setup, keys, system); err != nil {
			return nil, err
		}
	}
	return in, install.WriteTrust(in.setup, c.path("trust"))
}

func (in *installation) publicURL() string { return in.setup.Gateway.PublicURL }
func (in *installation) trustFile() string { return in.path("trust", install.TrustFile) }

// client returns a Go client that calls as a system, outside of the measured load.
func (in *installation) client(system string) (*client.Client, error) {
	return client.New(client.Config{BaseURL: in.publicURL(), Gateway: in.setup.Gateway.ID, System: system, Signer: in.signers[system], Operator: "hammer"})
}

// A gateway is a running gateway, in this process or another.
type gateway struct {
	stop func() error
	pid  int // of the process; ours if it runs here
}

// open runs the gateway in this process.
func (in *installation) open(ctx context.Context) (*gateway, error) {
	n, err := node.Open(ctx, in.mainFile(), node.Options{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- n.Run(serving) }()
	return &gateway{pid: os.Getpid(), stop: func() error { cancel(); return <-done }}, in.ready(ctx)
}

// spawn runs the gateway in a process of its own: a command that takes the configuration's file as its last argument.
func (in *installation) spawn(ctx context.Context, command []string) (*gateway, error) {
	log, err := os.OpenFile(in.path("gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append(command[1:len(command):len(command)], in.mainFile())
	cmd := exec.Command(command[0], args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(command[0]), err)
	}
	g := &gateway{pid: cmd.Process.Pid, stop: func() error {
		return errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait())
	}}
	if err := in.ready(ctx); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return g, nil
}

// ready polls the readiness endpoint until the gateway takes calls.
func (in *installation) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+in.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the gateway to be ready: %w", context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}

// peak returns the peak resident memory of a process in bytes, or 0 where the system does not report it.
func peak(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}
