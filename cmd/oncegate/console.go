package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"

	"oncegate/console/session"
	"oncegate/install"
)

func newConsole(t *terminal) *command {
	return t.group("console", "Look after the web console.",
		t.group("account", "Look after local accounts, for demonstrations and for when no identity provider answers.", newAccountAdd(t), newAccountList(t), newAccountRemove(t)))
}

type accountAdd struct {
	ofConfig
	ID       string
	Name     string
	Roles    []string
	Password string
	Single   bool
	Replace  bool
}

func newAccountAdd(t *terminal) *command {
	c := &accountAdd{}
	cmd := t.command("add", "Add a local account, and print the second factor for an authenticator.", c.run,
		argument{name: "id", help: "What the person types to sign in: lower-case letters, digits, dots, underscores and hyphens.", kind: "ID", one: &c.ID})
	cmd.config(&c.Config)
	cmd.text(&c.Name, "name", "NAME", "Name shown on pages.")
	cmd.texts(&c.Roles, "role", "ROLE@HALL: what the person is, in which hall; may be repeated.")
	cmd.text(&c.Password, "password", "FILE", "File with the password; without one it is asked for.")
	cmd.yes(&c.Single, "no-second-factor", "Do without a second factor, on a console on this machine's loopback only.")
	cmd.yes(&c.Replace, "replace", "Replace the account of this id, with a new password and second factor.")
	cmd.examples(`oncegate console account add -c oncegate.yaml zhang-3 --name "Zhang San" --role clerk@street-hall`)
	return cmd
}

// run adds an account.
func (c *accountAdd) run(_ context.Context, t *terminal) error {
	accounts, err := install.OpenAccounts(c.Config, nil)
	if err != nil {
		return err
	}
	if c.Name == "" || len(c.Roles) == 0 {
		return misuse{errors.New("an account has a name and a role: --name NAME --role ROLE@HALL")}
	}
	account := session.Account{ID: c.ID, Name: c.Name}
	if _, there := accounts.Find(c.ID); there && !c.Replace {
		return fmt.Errorf("there is an account %s already: say --replace to give it a new password and second factor", c.ID)
	}
	for _, one := range c.Roles {
		role, hall, ok := strings.Cut(one, "@")
		if !ok {
			return misuse{fmt.Errorf("--role is ROLE@HALL, such as clerk@street-hall, not %q", one)}
		}
		account.Assignments = append(account.Assignments, session.Assignment{Role: role, Hall: hall})
	}
	password, err := t.newPassword(c.Password)
	if err != nil {
		return err
	}
	if account.Password, err = session.HashPassword(password); err != nil {
		return err
	}
	uri := ""
	if !c.Single {
		if account.Secret, uri, err = session.NewSecret(accounts.Issuer(), c.ID); err != nil {
			return err
		}
	}
	if err := accounts.Put(account); err != nil {
		return err
	}
	t.tell("the account %s is there; a running gateway takes it by itself", c.ID)
	if uri == "" {
		return nil
	}
	t.tell("scan this with an authenticator now: it is not shown again")
	if t.shown {
		if err := t.showQR(uri); err != nil {
			return err
		}
	}
	fmt.Fprintln(t.out, uri)
	return nil
}

const maxPasswordFile = 4096 // bytes

// newPassword reads a password from a file, or twice from the terminal.
func (t *terminal) newPassword(file string) (string, error) {
	if file != "" {
		data, err := t.readAll(file, maxPasswordFile)
		return strings.TrimRight(string(data), "\r\n"), err
	}
	in, ok := t.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", misuse{errors.New("nobody is there to type a password: name a file with --password")}
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(t.err, t.Message(prompt))
		defer fmt.Fprintln(t.err)
		return term.ReadPassword(int(in.Fd()))
	}
	one, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	two, err := ask("Once more: ")
	if err != nil {
		return "", err
	}
	if !bytes.Equal(one, two) {
		return "", errors.New("the two passwords differ")
	}
	return string(one), nil
}

// showQR draws a QR code of half-height blocks, dark on light whatever the terminal's colours are.
func (t *terminal) showQR(text string) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return fmt.Errorf("draw QR code: %w", err)
	}
	const quiet = 2
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString("\x1b[30;47m")
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteString(map[[2]bool]string{{false, false}: " ", {true, false}: "▀", {false, true}: "▄", {true, true}: "█"}[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		b.WriteString("\x1b[0m\n")
	}
	_, err = io.WriteString(t.out, b.String())
	return err
}

type accountList struct {
	ofConfig
}

func newAccountList(t *terminal) *command {
	c := &accountList{}
	cmd := t.command("list", "List local accounts, without anything secret.", c.run)
	cmd.config(&c.Config)
	cmd.examples("oncegate console account list -c oncegate.yaml")
	return cmd
}

// run lists accounts by the numbers under which check speaks of them.
func (c *accountList) run(_ context.Context, t *terminal) error {
	accounts, err := install.OpenAccounts(c.Config, nil)
	if err != nil {
		return err
	}
	for i, a := range accounts.List() {
		var roles []string
		for _, one := range a.Assignments {
			roles = append(roles, one.Role+"@"+one.Hall)
		}
		second := t.say("with a second factor")
		if a.Secret == "" {
			second = t.say("without a second factor")
		}
		fmt.Fprintf(t.out, "%d  %s  %s  %s  %s\n", i+1, a.ID, a.Name, strings.Join(roles, " "), second)
	}
	return nil
}

type accountRemove struct {
	ofConfig
	ID string
}

func newAccountRemove(t *terminal) *command {
	c := &accountRemove{}
	cmd := t.command("remove", "Remove a local account. Its sessions end at once.", c.run, argument{name: "id", help: "The account.", kind: "ID", one: &c.ID})
	cmd.config(&c.Config)
	cmd.examples("oncegate console account remove -c oncegate.yaml zhang-3")
	return cmd
}

// run removes an account.
func (c *accountRemove) run(context.Context, *terminal) error {
	accounts, err := install.OpenAccounts(c.Config, nil)
	if err != nil {
		return err
	}
	return accounts.Remove(c.ID)
}
