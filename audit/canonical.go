package audit

import (
	"bytes"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"oncegate/canonical"
)

// limits bound JSON that others wrote.
var limits = canonical.Limits{Bytes: 16 << 20, Depth: 64}

// reformat returns the canonical bytes of JSON within limits.
func reformat(text []byte) ([]byte, error) {
	if err := canonical.Check(text, limits); err != nil {
		return nil, err
	}
	return canonical.ReformatChecked(bytes.Clone(text))
}

// writeExact writes numbers as they are, however great: what is sealed and replayed loses no bit. Durations are nanoseconds.
func writeExact(w *bytes.Buffer, v any) error {
	if err := json.MarshalWrite(w, v, json.Deterministic(true), jsonv1.FormatDurationAsNano(true)); err != nil {
		return canonical.ErrForm // the library's text may quote the value
	}
	return nil
}
