package ofd

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
)

// maxAttachments bounds the XML attachments that are searched for metadata.
const maxAttachments = 16

// Data returns the metadata (GB/T 36903 short names): CustomDatas of OFD.xml, and when those have no name of the
// standard that of an XML attachment, which is where some makers put it.
func (p *Package) Data() []Datum {
	if len(p.attached) > 0 {
		return p.attached
	}
	return p.data
}

// dataIn are the files that [Package.Data] depends on.
func (p *Package) dataIn() []string {
	if len(p.attached) > 0 {
		return p.attachedIn
	}
	return []string{rootFile}
}

// Value returns the first value of a name, empty when there is none.
func (p *Package) Value(name string) string {
	for _, d := range p.Data() {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

// short says whether name has the form of a short name of GB/T 36903: ZZMC, KZ_….
func short(name string) bool {
	return strings.HasPrefix(name, "KZ_") || len(name) >= 4 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// readAttachments looks for metadata in the attachments, when OFD.xml has none. An attachment that is no XML is none of our
// business.
func (p *Package) readAttachments(ctx context.Context, doc *node, b *budget) error {
	at, err := p.locate(p.document, doc.value("Attachments"))
	if err != nil || slices.ContainsFunc(p.data, func(d Datum) bool { return short(d.Name) }) {
		return nil
	}
	list, err := p.tree(ctx, at, b)
	if err != nil {
		return err
	}
	left := maxAttachments
	for a := range list.all("Attachment") {
		if err := b.spend(workPerRef); err != nil {
			return err
		}
		file, err := p.locate(at, a.value("FileLoc"))
		if err != nil || !strings.EqualFold(path.Ext(file), ".xml") && !strings.EqualFold(a.attr("Format"), "xml") {
			continue
		}
		if left--; left < 0 || len(p.attached) > 0 {
			break
		}
		root, err := p.tree(ctx, file, b)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Step == StepXML:
			continue
		case err != nil:
			return err
		}
		if p.attached = searchData(root); len(p.attached) > 0 {
			p.attachedIn = []string{rootFile, p.document, at, file}
		}
	}
	return nil
}

// searchData returns the metadata below n: children of CustomDatas, of which deployed makers write CuslomDatas, as
// <CustomData Name="ZZMC">…</CustomData> or as <ZZMC>…</ZZMC>.
func searchData(n *node) []Datum {
	if n.name == "CustomDatas" || n.name == "CuslomDatas" {
		var data []Datum
		for _, c := range n.children {
			switch name := c.attr("Name"); {
			case name != "":
				data = append(data, Datum{name, c.text})
			case short(c.name):
				data = append(data, Datum{c.name, c.text})
			}
		}
		return data
	}
	for _, c := range n.children {
		if data := searchData(c); data != nil {
			return data
		}
	}
	return nil
}
