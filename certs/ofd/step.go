package ofd

import (
	"fmt"
	"strings"

	"oncegate/check"
)

func ok(name string) check.Step { return check.Pass(name, "") }

func failed(name, reason string) check.Step {
	return check.Fail(name, sentence(reason))
}

func notCheckable(name, reason string) check.Step {
	return check.CannotCheck(name, reason)
}

// sentence begins with a capital and ends with a full stop.
func sentence(reason string) string {
	if reason == "" {
		return ""
	}
	return strings.ToUpper(reason[:1]) + strings.TrimSuffix(reason[1:], ".") + "."
}

// names collects file names for a reason: the first few, and how many.
type names struct {
	first []string
	count int
}

// maxNamed bounds the files that a reason names.
const maxNamed = 5

func (n *names) add(name string) {
	if n.count++; len(n.first) < maxNamed {
		n.first = append(n.first, quote(name))
	}
}

// step is ok when nothing was added; else it fails with what is wrong with the names.
func (n *names) step(step, what string) check.Step {
	if n.count == 0 {
		return ok(step)
	}
	reason := what + ": " + strings.Join(n.first, ", ")
	if more := n.count - len(n.first); more > 0 {
		reason += fmt.Sprintf(" and %d more", more)
	}
	return failed(step, reason)
}
