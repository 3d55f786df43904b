package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"oncegate/api"
	"oncegate/license"
)

type licenseCommand struct {
	Status    licenseStatus    `cmd:"" help:"Show how a signed license stands."`
	List      licenseList      `cmd:"" help:"List the signed licenses of a type and how they stand."`
	Suspend   licenseSuspend   `cmd:"" help:"Suspend licenses (暂停), whatever their source says, until they are reinstated."`
	Revoke    licenseRevoke    `cmd:"" help:"Revoke licenses (吊销, 注销), their next versions too."`
	Expire    licenseExpire    `cmd:"" help:"End versions before their time; a changed license is valid again."`
	Reinstate licenseReinstate `cmd:"" help:"Lift a suspension; of what was revoked or ended, have the next version signed."`
	Supersede licenseSupersede `cmd:"" help:"End versions and have the next ones signed (换发) when their source is read next."`
	Render    licenseRender    `cmd:"" help:"Draw a license as a document: the sealed original, or a picture of it."`
	Issue     licenseIssue     `cmd:"" help:"Sign the licenses of many holders ahead of use."`
}

// licenseExample is an identifier for examples.
const licenseExample = "1.2.156.3005.2.11100000MB0143028R001.11100000MB0143028R.0000000001.001.B"

func orderExample(verb string) string {
	return examples("oncegate license "+verb+" -c oncegate.yaml --system market-licenses "+licenseExample,
		"oncegate license "+verb+" -c oncegate.yaml --system market-licenses --reference 云市监罚〔2026〕12号 "+licenseExample)
}

// ordering are the flags of the commands that order something. Each order is a signed call, so that it is recorded before it
// holds.
type ordering struct {
	calling
	Reference   string   `placeholder:"TEXT" help:"Number of the decision that is carried out (文号); it is kept sealed."`
	JSON        bool     `help:"Print the answers with their receipts as they came, one a line."`
	Identifiers []string `arg:"" name:"identifier" help:"Identifiers of the licenses (电子证照标识)."`
}

func (o ordering) run(ctx context.Context, t *terminal, command api.LicenseCommand) error {
	caller, err := o.client()
	if err != nil {
		return err
	}
	w := t.versions(!o.JSON)
	refused := error(nil)
	for _, id := range o.Identifiers {
		done, err := caller.Order(ctx, api.OrderRequest{Identifier: id, Command: command, Reference: o.Reference})
		if _, known := errors.AsType[*api.Problem](err); err != nil && !known {
			return errors.Join(err, w.Flush())
		}
		switch {
		case err != nil:
			refused = t.refused(err) // the others are ordered all the same
		case o.JSON:
			fmt.Fprintf(t.out, "%s\n", done.Raw)
		default:
			printVersion(w, done.Answer.License)
		}
	}
	return errors.Join(w.Flush(), refused)
}

type licenseSuspend struct{ ordering }

// Help gives examples.
func (licenseSuspend) Help() string { return orderExample("suspend") }

// Run suspends.
func (c *licenseSuspend) Run(ctx context.Context, t *terminal) error {
	return c.run(ctx, t, api.LicenseCommandSuspend)
}

type licenseRevoke struct{ ordering }

// Help gives examples.
func (licenseRevoke) Help() string { return orderExample("revoke") }

// Run revokes.
func (c *licenseRevoke) Run(ctx context.Context, t *terminal) error {
	return c.run(ctx, t, api.LicenseCommandRevoke)
}

type licenseExpire struct{ ordering }

// Help gives examples.
func (licenseExpire) Help() string { return orderExample("expire") }

// Run ends versions.
func (c *licenseExpire) Run(ctx context.Context, t *terminal) error {
	return c.run(ctx, t, api.LicenseCommandExpire)
}

type licenseReinstate struct{ ordering }

// Help gives examples.
func (licenseReinstate) Help() string { return orderExample("reinstate") }

// Run reinstates.
func (c *licenseReinstate) Run(ctx context.Context, t *terminal) error {
	return c.run(ctx, t, api.LicenseCommandReinstate)
}

type licenseSupersede struct{ ordering }

// Help gives examples.
func (licenseSupersede) Help() string { return orderExample("supersede") }

// Run supersedes.
func (c *licenseSupersede) Run(ctx context.Context, t *terminal) error {
	return c.run(ctx, t, api.LicenseCommandSupersede)
}

type licenseStatus struct {
	calling
	JSON       bool   `help:"Print the answer with its receipt as it came."`
	Identifier string `arg:"" help:"Identifier of the license (电子证照标识)."`
}

// Help gives examples.
func (licenseStatus) Help() string {
	return examples("oncegate license status -c oncegate.yaml --system market-licenses " + licenseExample)
}

// Run shows one version.
func (c *licenseStatus) Run(ctx context.Context, t *terminal) error {
	caller, err := c.client()
	if err != nil {
		return err
	}
	found, err := caller.List(ctx, api.ListRequest{Identifier: c.Identifier})
	if err != nil {
		return t.refused(err)
	}
	if c.JSON {
		return t.answer(&found.Response)
	}
	w := t.versions(true)
	for _, v := range found.Answer.Licenses {
		printVersion(w, v)
	}
	return w.Flush()
}

type licenseList struct {
	calling
	Type   string `required:"" placeholder:"ID" help:"License type."`
	Status string `placeholder:"WORD" enum:",valid,suspended,revoked,superseded,expired" default:"" help:"Only those that stand so: valid, suspended, revoked, superseded or expired."`
	Limit  int    `default:"100" help:"Most licenses shown; 0 is all."`
	JSON   bool   `help:"Print the answers with their receipts as they came, one a line."`
}

// Help gives examples.
func (licenseList) Help() string {
	return examples("oncegate license list -c oncegate.yaml --system market-licenses --type business-license --status suspended")
}

// Run lists versions, in the order of their identifiers.
func (c *licenseList) Run(ctx context.Context, t *terminal) error {
	caller, err := c.client()
	if err != nil {
		return err
	}
	const page = 500
	w := t.versions(!c.JSON)
	q := api.ListRequest{LicenseType: c.Type, Status: api.Status(c.Status)}
	for shown := 0; c.Limit == 0 || shown < c.Limit; {
		q.Limit = page
		if c.Limit > 0 {
			q.Limit = min(page, c.Limit-shown)
		}
		found, err := caller.List(ctx, q)
		if err != nil {
			return errors.Join(w.Flush(), t.refused(err))
		}
		if c.JSON {
			fmt.Fprintf(t.out, "%s\n", found.Raw)
		} else {
			for _, v := range found.Answer.Licenses {
				printVersion(w, v)
			}
		}
		shown += len(found.Answer.Licenses)
		if q.After = found.Answer.Next; q.After == "" {
			break
		}
	}
	return w.Flush()
}

// versions begins a table of signed versions.
func (t *terminal) versions(headed bool) *tabwriter.Writer {
	w := tabwriter.NewWriter(t.out, 0, 4, 2, ' ', 0)
	if headed {
		fmt.Fprintln(w, t.say("IDENTIFIER\tSTATUS\tSOURCE SAYS\tORDERED\tSIGNED\tSUPERSEDED BY"))
	}
	return w
}

func printVersion(w *tabwriter.Writer, v api.SignedVersion) {
	ordered := v.Ordered
	if ordered != "" {
		ordered += " " + day(v.OrderedAt)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Identifier, v.Status, v.Stated+" "+day(v.AsOf), ordered, day(v.Signed), v.SupersededBy.Identifier)
}

func day(at api.Time) string { return at.In(license.Shanghai()).Format("2006-01-02") }
