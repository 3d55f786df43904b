// Package consoletest reads the console's pages as people do, and opens them in a real browser: for tests of pages.
package consoletest

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// A Page is one as somebody reads it.
type Page struct {
	t    testing.TB
	HTML string
	Root *html.Node
}

// Read reads a page.
func Read(t testing.TB, text string) Page {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return Page{t, text, root}
}

// All are the elements of a name, in order.
func (p Page) All(name atom.Atom) (list []*html.Node) {
	for n := range p.Root.Descendants() {
		if n.DataAtom == name {
			list = append(list, n)
		}
	}
	return list
}

// Attribute is the value of an element's attribute; "" without one.
func Attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// Has reports whether an element has an attribute.
func Has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// Text is what stands in an element, with single spaces.
func Text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Says reports whether a text stands on the page.
func (p Page) Says(text string) bool { return strings.Contains(Text(p.Root), text) }

// Headline is the first heading; a page has one.
func (p Page) Headline() string {
	p.t.Helper()
	all := p.All(atom.H1)
	if len(all) != 1 {
		p.t.Fatalf("the page has %d first headings:\n%s", len(all), p.HTML)
	}
	return Text(all[0])
}

// Rows are the cells of the bodies of tables.
func (p Page) Rows() (rows [][]string) {
	for _, body := range p.All(atom.Tbody) {
		for tr := range body.ChildNodes() {
			var row []string
			for cell := range tr.ChildNodes() {
				if cell.DataAtom == atom.Td || cell.DataAtom == atom.Th {
					row = append(row, Text(cell))
				}
			}
			if row != nil {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// Input is the value of a field, what is said to be wrong with it, and whether the cursor begins there. A field that is wrong must say so to
// screen readers.
func (p Page) Input(name string) (value, fault string, focus bool) {
	p.t.Helper()
	for _, n := range append(p.All(atom.Input), p.All(atom.Select)...) {
		if Attribute(n, "name") != name {
			continue
		}
		for id := range strings.FieldsSeq(Attribute(n, "aria-describedby")) {
			if strings.HasSuffix(id, "-error") {
				fault = p.byID(id)
				if Attribute(n, "aria-invalid") != "true" {
					p.t.Errorf("the field %s is wrong and does not say so", name)
				}
			}
		}
		return Attribute(n, "value"), fault, Has(n, "autofocus")
	}
	p.t.Fatalf("the form has no field %s:\n%s", name, p.HTML)
	return "", "", false
}

func (p Page) byID(id string) string {
	p.t.Helper()
	for n := range p.Root.Descendants() {
		if Attribute(n, "id") == id {
			return Text(n)
		}
	}
	p.t.Errorf("nothing has the id %s", id)
	return ""
}

// Form are the hidden fields of the form that posts to an address.
func (p Page) Form(action string) map[string]string {
	p.t.Helper()
	for _, f := range p.All(atom.Form) {
		if Attribute(f, "action") != action {
			continue
		}
		fields := map[string]string{}
		for n := range f.Descendants() {
			if n.DataAtom == atom.Input && Attribute(n, "type") == "hidden" {
				fields[Attribute(n, "name")] = Attribute(n, "value")
			}
		}
		return fields
	}
	p.t.Fatalf("there is no form to %s:\n%s", action, p.HTML)
	return nil
}

// Link is the address of the link with a text.
func (p Page) Link(text string) string {
	p.t.Helper()
	for _, a := range p.All(atom.A) {
		if strings.Contains(Text(a), text) {
			return Attribute(a, "href")
		}
	}
	p.t.Fatalf("there is no link %q:\n%s", text, p.HTML)
	return ""
}

// Faults are what assistive technology and safe browsers would stumble over: elements and attributes that no page has, fields without a
// label, tables without headers, several things with one id, images without a text.
func (p Page) Faults() (faults []string) {
	ids, labels := map[string]int{}, map[string]bool{}
	for _, n := range p.All(atom.Label) {
		labels[Attribute(n, "for")] = true
	}
	for n := range p.Root.Descendants() {
		if id := Attribute(n, "id"); id != "" {
			if ids[id]++; ids[id] == 2 {
				faults = append(faults, "the id "+id+" stands twice")
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") && a.Key != "value" {
				faults = append(faults, "an attribute "+a.Key+"="+a.Val)
			}
		}
		switch n.DataAtom {
		case atom.Script, atom.Iframe, atom.Object, atom.Embed, atom.Style, atom.Base:
			faults = append(faults, "an element "+n.Data)
		case atom.Img:
			if !strings.HasPrefix(Attribute(n, "src"), "data:") || !Has(n, "alt") {
				faults = append(faults, "an image from elsewhere, or without a text")
			}
		case atom.Svg:
			if Attribute(n, "aria-hidden") != "true" && Attribute(n, "role") != "img" {
				faults = append(faults, "a picture that is neither hidden nor named")
			}
		case atom.Input, atom.Select, atom.Textarea:
			kind := Attribute(n, "type")
			if kind != "hidden" && kind != "submit" && !labels[Attribute(n, "id")] && Attribute(n, "aria-label") == "" {
				faults = append(faults, "the field "+Attribute(n, "name")+" has no label")
			}
		case atom.Button, atom.A:
			if Text(n) == "" && Attribute(n, "aria-label") == "" {
				faults = append(faults, "a button or link without a text")
			}
		case atom.Table:
			header := false
			for c := range n.Descendants() {
				header = header || c.DataAtom == atom.Th && Attribute(c, "scope") == "col"
			}
			if !header {
				faults = append(faults, "a table without headers")
			}
		}
	}
	if html := p.All(atom.Html); len(html) != 1 || Attribute(html[0], "lang") == "" {
		faults = append(faults, "the page has no language")
	}
	titles := slices.DeleteFunc(p.All(atom.Title), func(n *html.Node) bool { return n.Namespace == "svg" })
	if len(p.All(atom.Main)) != 1 || len(p.All(atom.H1)) != 1 || len(titles) != 1 {
		faults = append(faults, "a page has one main part, one first heading and one title")
	}
	return faults
}
