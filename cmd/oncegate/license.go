package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"oncegate/api"
	"oncegate/license"
)

func newLicense(t *terminal) *command {
	return t.group("license", "Suspend, revoke, supersede, list and sign licenses, for the department that owns them.",
		newLicenseStatus(t), newLicenseList(t),
		newLicenseOrder(t, "suspend", "Suspend licenses (暂停), whatever their source says, until they are reinstated.", api.LicenseCommandSuspend),
		newLicenseOrder(t, "revoke", "Revoke licenses (吊销, 注销), their next versions too.", api.LicenseCommandRevoke),
		newLicenseOrder(t, "expire", "End versions before their time; a changed license is valid again.", api.LicenseCommandExpire),
		newLicenseOrder(t, "reinstate", "Lift a suspension; of what was revoked or ended, have the next version signed.", api.LicenseCommandReinstate),
		newLicenseOrder(t, "supersede", "End versions and have the next ones signed (换发) when their source is read next.", api.LicenseCommandSupersede),
		newLicenseRender(t), newLicenseIssue(t))
}

// licenseExample is an identifier for examples.
const licenseExample = "1.2.156.3005.2.11100000MB0143028R001.11100000MB0143028R.0000000001.001.B"

// A licenseOrder orders something about licenses. Each order is a signed call, so that it is recorded before it holds.
type licenseOrder struct {
	calling
	command     api.LicenseCommand
	Reference   string
	JSON        bool
	Identifiers []string
}

func newLicenseOrder(t *terminal, name, help string, order api.LicenseCommand) *command {
	c := &licenseOrder{command: order}
	cmd := t.command(name, help, c.run,
		argument{name: "identifier", help: "Identifiers of the licenses (电子证照标识).", many: &c.Identifiers})
	cmd.text(&c.Reference, "reference", "TEXT", "Number of the decision that is carried out (文号); it is kept sealed.")
	cmd.yes(&c.JSON, "json", "Print the answers with their receipts as they came, one a line.")
	c.declare(cmd)
	cmd.examples("oncegate license "+name+" -c oncegate.yaml --system market-licenses "+licenseExample,
		"oncegate license "+name+" -c oncegate.yaml --system market-licenses --reference 云市监罚〔2026〕12号 "+licenseExample)
	return cmd
}

// run gives the order for each license.
func (c *licenseOrder) run(ctx context.Context, t *terminal) error {
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	w := t.versions(!c.JSON)
	refused := error(nil)
	for _, id := range c.Identifiers {
		done, err := caller.Order(ctx, api.OrderRequest{Identifier: id, Command: c.command, Reference: c.Reference})
		if _, known := errors.AsType[*api.Problem](err); err != nil && !known {
			return errors.Join(err, w.flush())
		}
		switch {
		case err != nil:
			refused = t.refused(err) // the others are ordered all the same
		case c.JSON:
			fmt.Fprintf(t.out, "%s\n", done.Raw)
		default:
			t.printVersion(w, done.Answer.License)
		}
	}
	return errors.Join(w.flush(), refused)
}

type licenseStatus struct {
	calling
	JSON       bool
	Identifier string
}

func newLicenseStatus(t *terminal) *command {
	c := &licenseStatus{}
	cmd := t.command("status", "Show how a signed license stands.", c.run,
		argument{name: "identifier", help: "Identifier of the license (电子证照标识).", one: &c.Identifier})
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came.")
	c.declare(cmd)
	cmd.examples("oncegate license status -c oncegate.yaml --system market-licenses " + licenseExample)
	return cmd
}

// run shows one version.
func (c *licenseStatus) run(ctx context.Context, t *terminal) error {
	caller, err := c.client(t)
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
		t.printVersion(w, v)
	}
	return w.flush()
}

type licenseList struct {
	calling
	Type   string
	Status string
	Limit  int
	JSON   bool
}

func newLicenseList(t *terminal) *command {
	c := &licenseList{Limit: 100}
	cmd := t.command("list", "List the signed licenses of a type, whose they are and how they stand.", c.run)
	cmd.Long = t.say("Codes and names of holders are masked. A dash stands where they are not kept: of licenses signed by an older version, or longer ago than originals are kept; license issue keeps them anew.")
	cmd.text(&c.Type, "type", "ID", "License type.")
	cmd.required("type")
	cmd.text(&c.Status, "status", "WORD", "Only those that stand so.", "valid", "suspended", "revoked", "superseded", "expired")
	cmd.number(&c.Limit, "limit", "Most licenses shown; 0 is all.")
	cmd.yes(&c.JSON, "json", "Print the answers with their receipts as they came, one a line.")
	c.declare(cmd)
	cmd.examples("oncegate license list -c oncegate.yaml --system market-licenses --type business-license --status suspended")
	return cmd
}

// run lists versions, in the order of their identifiers.
func (c *licenseList) run(ctx context.Context, t *terminal) error {
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	w := t.versions(!c.JSON)
	q := api.ListRequest{LicenseType: c.Type, Status: api.Status(c.Status)}
	return t.pages(w, c.Limit, 500, func(limit int) (int, bool, error) {
		q.Limit = limit
		found, err := caller.List(ctx, q)
		if err != nil {
			return 0, false, err
		}
		if c.JSON {
			fmt.Fprintf(t.out, "%s\n", found.Raw)
		} else {
			for _, v := range found.Answer.Licenses {
				t.printVersion(w, v)
			}
		}
		q.After = found.Answer.Next
		return len(found.Answer.Licenses), q.After != "", nil
	})
}

// versions begins a table of signed versions.
func (t *terminal) versions(headed bool) *table {
	if !headed {
		return t.table("")
	}
	return t.table(t.say("NUMBER\tNAME\tHOLDER\tSTATUS\tSOURCE SAYS\tORDERED\tSIGNED\tIDENTIFIER\tSUPERSEDED BY"))
}

func (t *terminal) printVersion(w *table, v api.SignedVersion) {
	ordered := t.word(v.Ordered)
	if ordered != "" {
		ordered += " " + day(v.OrderedAt)
	}
	names, codes := "–", "–" // not kept any more
	for i, h := range v.Holders {
		if i == 0 {
			names, codes = "", ""
		} else {
			names, codes = names+t.say("; "), codes+t.say("; ")
		}
		names, codes = names+printable(h.Name), codes+h.Type+":"+h.Code
	}
	w.row(cmp.Or(printable(v.Number), "–"), names, codes, t.word(string(v.Status)), t.word(v.Stated)+" "+day(v.AsOf), ordered, day(v.Signed), v.Identifier, v.SupersededBy.Identifier)
}

func day(at api.Time) string { return at.In(license.Shanghai()).Format("2006-01-02") }
