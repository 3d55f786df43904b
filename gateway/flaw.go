package gateway

import (
	"errors"
	"strconv"
	"strings"

	"oncegate/api"
	"oncegate/cases"
)

// flawed turns what is wrong with a registration into a refusal that names every place.
func flawed(code string, err error) error {
	var flaws cases.Flaws
	if !errors.As(err, &flaws) {
		return err
	}
	ref := refuse(code)
	faults := make([]api.Fault, len(flaws))
	for i, f := range flaws {
		faults[i] = api.Fault{Pointer: pointer(f.Path), Reason: string(f.Reason)}
	}
	ref.problem.Point(faults...)
	return ref
}

// pointer turns a path such as "parties[1].holder.code" into a JSON pointer.
func pointer(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, ".") {
		name, index, indexed := strings.Cut(part, "[")
		if name != "" {
			b.WriteString("/" + name)
		}
		if indexed {
			if n, err := strconv.Atoi(strings.TrimSuffix(index, "]")); err == nil {
				b.WriteString("/" + strconv.Itoa(n))
			}
		}
	}
	return b.String()
}
