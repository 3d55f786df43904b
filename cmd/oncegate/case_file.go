package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/certs/sm"
)

type caseFile struct {
	calling
	Matter       string
	Material     string
	Verification string
	ValidUntil   string
	Holder       string
	Receive      bool
	JSON         bool
	No           string
	File         string
}

func newCaseFile(t *terminal) *command {
	c := &caseFile{}
	cmd := t.command("file", "File a material that the window received and verified (材料存档), so that the holder's next case need not bring it.", c.run,
		argument{name: "number", help: "Number of the case (办件编号).", one: &c.No}, argument{name: "file", help: "The file: PDF, OFD, JPEG or PNG, at most 1 MiB.", one: &c.File})
	cmd.text(&c.Material, "material", "CODE", "Material (材料) of the matter.")
	cmd.text(&c.Verification, "verification", "ID", "How it was verified (核验方式); catalog.matters lists the ways.")
	cmd.text(&c.Matter, "matter", "CODE", "Matter (事项) within a chain; empty: the case's.")
	cmd.text(&c.ValidUntil, "valid-until", "DAY", "Last day on which it may be used; empty: as long as its type allows.")
	cmd.text(&c.Holder, "holder", "TYPE:CODE", "Whose it is, where several parties have the material's role; - reads it from standard input.")
	cmd.yes(&c.Receive, "receive", "Report the upload first (cases.materials), where that was not done yet.")
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came.")
	c.declare(cmd)
	c.Operator = "" // who verified it stands in the filing: nobody by default
	cmd.examples("oncegate case file -c oncegate.yaml --system acceptance --operator clerk-7 --material premises-proof --verification original-seen --receive SP-2026-000101 lease.pdf")
	return cmd
}

// run files one file.
func (c *caseFile) run(ctx context.Context, t *terminal) error {
	if c.Material == "" || c.Verification == "" || c.Operator == "" {
		return misuse{errors.New("give --material, --verification and --operator: what it is, how it was verified and by whom")}
	}
	content, err := readBounded(c.File, cases.MaxFile)
	if err != nil {
		return err
	}
	q := api.FileRequest{
		Matter: c.Matter, Material: c.Material, Verification: c.Verification, ValidUntil: c.ValidUntil, Digest: sm.DigestB64(content),
		Media: api.FileMedia(mediaOf(c.File, content)), Content: base64.RawURLEncoding.EncodeToString(content),
	}
	if c.Holder != "" {
		if q.Holder, err = namedHolder(c.Holder, t.in); err != nil {
			return misuse{err}
		}
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	if c.Receive {
		if _, err := caller.ReportMaterial(ctx, c.No, api.MaterialRequest{Matter: c.Matter, Material: c.Material, How: api.HowUploaded, Digest: q.Digest}); err != nil {
			return t.refused(err)
		}
	}
	filed, err := caller.File(ctx, c.No, q)
	if err != nil {
		return t.refused(err)
	}
	if c.JSON {
		return t.answer(&filed.Response)
	}
	a := filed.Answer
	fmt.Fprintln(t.out, t.say("%s is on file as %s: trust level %s, to be used until %s, kept until %s", a.Material, a.Filing, a.Level, a.ValidUntil, day(a.KeptUntil)))
	return nil
}

// readBounded reads a file of most bytes at most.
func readBounded(name string, most int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(content) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return content, err
}

// mediaOf is the media type of a file: that of an OFD document by its name, because it is a zip file.
func mediaOf(name string, content []byte) string {
	if filepath.Ext(name) == ".ofd" {
		return "application/ofd"
	}
	media, _, _ := mime.ParseMediaType(http.DetectContentType(content))
	return media
}

type caseUnfile struct {
	calling
	JSON   bool
	Filing string
}

func newCaseUnfile(t *terminal) *command {
	c := &caseUnfile{}
	cmd := t.command("unfile", "Withdraw a filed material (撤回存档材料) of one's own department; what was used before stays valid.", c.run,
		argument{name: "filing", help: "Id of the filed material.", one: &c.Filing})
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came.")
	c.declare(cmd)
	cmd.examples("oncegate case unfile -c oncegate.yaml --system acceptance filed-2J8o2m4dA0e6m0n3o8t3v9")
	return cmd
}

// run withdraws one.
func (c *caseUnfile) run(ctx context.Context, t *terminal) error {
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	withdrawn, err := caller.Unfile(ctx, api.UnfileRequest{Filing: c.Filing})
	if err != nil {
		return t.refused(err)
	}
	if c.JSON {
		return t.answer(&withdrawn.Response)
	}
	for _, f := range withdrawn.Answer.Filings {
		fmt.Fprintln(t.out, t.say("%s is withdrawn since %s", f.Filing, day(f.Withdrawn)))
	}
	return nil
}
