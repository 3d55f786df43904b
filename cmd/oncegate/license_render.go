package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"oncegate/api"
	"oncegate/client"
	"oncegate/license"
)

type licenseRender struct {
	calling
	Type   string
	Holder string
	Number string
	Form   string
	Output string
	JSON   bool
}

func newLicenseRender(t *terminal) *command {
	c := &licenseRender{Form: "ofd"}
	cmd := t.command("render", "Draw a license as a document: the sealed original, or a picture of it.", c.run)
	cmd.Long = t.say(renderHelp)
	cmd.text(&c.Type, "type", "ID", "License type.")
	cmd.text(&c.Holder, "holder", "TYPE:CODE", "Whose license, such as 001:91379901MA9920002Q; - reads it from standard input, which keeps it out of the shell's history.")
	cmd.required("type", "holder")
	cmd.text(&c.Number, "number", "TEXT", "Number of the license (证照编号), where the holder has several.")
	cmd.text(&c.Form, "form", "WORD", "ofd is the sealed original; pdf, png and svg are pictures of it.", "ofd", "pdf", "png", "svg")
	cmd.text(&c.Output, "o,output", "FILE", "File to write, - for standard output; default: the license's identifier with the form as its ending.")
	cmd.yes(&c.JSON, "json", "Print the answer with its receipt as it came, and write no file.")
	c.declare(cmd)
	cmd.examples("oncegate license render -c oncegate.yaml --system market-licenses --type business-license --holder 001:91379901MA9920002Q",
		"oncegate license render -c oncegate.yaml --system market-licenses --type business-license --holder - --form pdf -o license.pdf")
	return cmd
}

const renderHelp = "The whole license is drawn as its department's layout has it. Of a license that is not in force there is no sealed original; pictures of it say so across the page. Only the department that owns the type may do this, by the right licenses.render, and each call is recorded like any release."

// run draws a license.
func (c *licenseRender) run(ctx context.Context, t *terminal) error {
	holder, err := namedHolder(c.Holder, t.in)
	if err != nil {
		return misuse{err}
	}
	caller, err := c.client(t)
	if err != nil {
		return err
	}
	done, err := caller.Render(ctx, api.RenderRequest{LicenseType: c.Type, Holder: holder, Number: c.Number, Form: api.RenderRequestForm(c.Form)})
	if err != nil {
		refused := t.refused(err)
		if p, ok := errors.AsType[*api.Problem](err); ok && !c.JSON && slices.ContainsFunc(p.Faults, func(f api.Fault) bool { return f.Pointer == "/number" }) {
			return errors.Join(c.choices(ctx, t, caller, holder), refused)
		}
		return refused
	}
	if c.JSON {
		return t.answer(&done.Response)
	}
	data, err := base64.RawURLEncoding.DecodeString(done.Answer.Document.Content)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	return c.write(t, done.Answer, data)
}

// choices lists the licenses of the holder that --number chooses from. Whoever may not list them is told so by the refusal alone.
func (c *licenseRender) choices(ctx context.Context, t *terminal, caller *client.Client, holder api.HolderID) error {
	versions, err := caller.Licenses(ctx, c.Type, holder)
	if errors.As(err, new(*api.Problem)) {
		return nil
	}
	if err != nil {
		return err
	}
	t.tell("choose one with --number:")
	w := t.versions(true)
	w.out = t.err
	for _, v := range versions {
		t.printVersion(w, v)
	}
	return w.flush()
}

// namedHolder is whom --holder names; - reads it.
func namedHolder(text string, in io.Reader) (api.HolderID, error) {
	if text == "-" {
		line, err := bufio.NewReader(io.LimitReader(in, 256)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return api.HolderID{}, err
		}
		text = line
	}
	kind, code, ok := strings.Cut(strings.TrimSpace(text), ":")
	if !ok {
		return api.HolderID{}, errors.New("a holder is written TYPE:CODE, such as 001:…")
	}
	h := license.HolderID{Type: kind, Code: code}.Normal()
	return api.HolderID{Type: h.Type, Code: h.Code}, nil
}

// write keeps the document, for its owner alone. A file of the default name is never replaced.
func (c *licenseRender) write(t *terminal, a api.RenderAnswer, data []byte) error {
	switch c.Output {
	case "-":
		_, err := t.out.Write(data)
		return err
	case "":
		f, err := os.OpenFile(a.Identifier+"."+c.Form, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		c.Output = f.Name()
	default:
		if err := os.WriteFile(c.Output, data, 0o600); err != nil {
			return err
		}
	}
	t.println("%s, version %d, %s: %s (%d bytes)", a.Identifier, a.Version, t.word(string(a.Status)), c.Output, len(data))
	return nil
}
