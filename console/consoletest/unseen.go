package consoletest

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Unseen are the faults of a page that a checker of rules does not see: an order of its own for the keyboard; time limits that nobody can
// extend; errors that are not tied to their field, whose title does not say so, or that leave the cursor elsewhere; colour without a sign or
// a word (WCAG 2.2: 1.3.1, 1.4.1, 2.2.1, 2.4.2, 2.4.3, 3.3.1).
func (p Page) Unseen() (faults []string) {
	byID, led := map[string]*html.Node{}, map[string]bool{}
	var wrong, focused []*html.Node
	alert := false
	for n := range p.Root.Descendants() {
		if id := Attribute(n, "id"); id != "" {
			byID[id] = n
		}
		if index := Attribute(n, "tabindex"); index != "" && index != "0" && index != "-1" {
			faults = append(faults, "the keyboard goes in an order of its own: tabindex "+index)
		}
		if n.DataAtom == atom.Meta && strings.EqualFold(Attribute(n, "http-equiv"), "refresh") {
			faults = append(faults, "the page goes on by itself")
		}
		if Has(n, "autofocus") {
			focused = append(focused, n)
		}
		alert = alert || Attribute(n, "role") == "alert"
		if Attribute(n, "aria-invalid") == "true" {
			wrong = append(wrong, n)
			for id := range strings.FieldsSeq(Attribute(n, "aria-describedby")) {
				led[id] = true
			}
		}
	}
	for n := range p.Root.Descendants() {
		classes := strings.Fields(Attribute(n, "class"))
		if slices.Contains(classes, "error") && Attribute(n, "role") != "alert" && !led[Attribute(n, "id")] {
			faults = append(faults, "an error is tied to no field: "+Text(n))
		}
		if slices.ContainsFunc(classes, func(c string) bool { return slices.Contains([]string{"good", "bad", "wait", "bring"}, c) }) && n.DataAtom != atom.Svg && Text(n) == "" {
			faults = append(faults, "colour stands alone: class "+Attribute(n, "class"))
		}
		if n.DataAtom == atom.Svg && slices.Contains(classes, "sign") && Text(n.Parent) == "" && (n.Parent.Parent == nil || Text(n.Parent.Parent) == "") {
			faults = append(faults, "a sign stands without a word")
		}
	}
	for _, n := range wrong {
		says := false
		for id := range strings.FieldsSeq(Attribute(n, "aria-describedby")) {
			says = says || byID[id] != nil && Text(byID[id]) != "" && !strings.HasSuffix(id, "-hint")
		}
		if !says {
			faults = append(faults, "the field "+Attribute(n, "name")+" is wrong and leads to no text that says why")
		}
	}
	if len(wrong) > 0 && (len(focused) != 1 || focused[0] != wrong[0] && !slices.Contains(slices.Collect(wrong[0].Descendants()), focused[0])) {
		faults = append(faults, "the cursor does not stand in the first field that is wrong, "+Attribute(wrong[0], "name"))
	}
	if len(focused) > 1 {
		faults = append(faults, "the cursor stands in several fields")
	}
	if titles := p.All(atom.Title); len(titles) > 0 {
		title := Text(titles[0])
		if says := strings.HasPrefix(title, "出错：") || strings.HasPrefix(title, "Error: "); says != (alert || len(wrong) > 0) {
			faults = append(faults, "the title does not say whether there is an error: "+title)
		}
	}
	return faults
}
