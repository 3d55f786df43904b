package register

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/go-json-experiment/json"

	"oncegate/license"
)

// A Label is what a list shows of a signed version, so that the department that owns it recognises it: the license's number, and its
// holders, masked. It is kept sealed as long as an original is (Config.Originals), and only to be shown: no decision and no disclosure
// rests on it.
type Label struct {
	Number  string        `json:"number"` // masked where it is the code of a holder
	Holders []LabelHolder `json:"holders"`
}

// A LabelHolder is one holder of a labelled license, masked.
type LabelHolder struct {
	Type string `json:"type"` // holder code type
	Code string `json:"code"` // masked
	Name string `json:"name"` // masked, but of a body with a public code
}

// labelOf is the label of a license.
func labelOf(l license.License) Label {
	label := Label{Number: l.Number}
	for _, h := range l.Holders {
		label.Holders = append(label.Holders, LabelHolder{h.HolderID.Type, license.MaskCode(h.Code), h.MaskedName()})
	}
	if slices.ContainsFunc(l.Holders, func(h license.Holder) bool {
		return h.HolderID.Type != "001" && license.NormalCode(l.Number) == license.NormalCode(h.Code)
	}) {
		label.Number = license.MaskCode(l.Number)
	}
	return label
}

// KeepLabel returns the change that keeps the label of a signed version; none where one is kept already.
func (r *Register) KeepLabel(ctx context.Context, v Version, l license.License) ([]any, error) {
	_, err := r.Label(ctx, v)
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r.keepLabel(v, l)
}

// keepLabel seals a label as a kept copy of its own kind: the storage need not know which is which.
func (r *Register) keepLabel(v Version, l license.License) ([]any, error) {
	s, err := r.labelPlace(v)
	if err != nil {
		return nil, fmt.Errorf("keep label: %w", err)
	}
	text, err := json.Marshal(labelOf(l), json.Deterministic(true))
	if err != nil {
		return nil, errors.New("keep label: it cannot be written") // the library's text may quote it
	}
	if s.Sealed, err = r.config.Sealer.Seal(text, copyContext(s)); err != nil {
		return nil, fmt.Errorf("keep label: %w", err)
	}
	return []any{Keep{s}}, nil
}

// labelPlace is where the label of a version stands: under a key that no question has, because those name a holder.
func (r *Register) labelPlace(v Version) (s Snapshot, err error) {
	s.AsOf = truncateMillis(r.config.Now())
	s.Expires = s.AsOf.Add(r.config.Originals)
	s.Key, err = sumOf(r.keys.copy, "label", v.Identifier)
	return s, err
}

// Label returns the label of a version; fs.ErrNotExist if none is kept, or it has expired.
func (r *Register) Label(ctx context.Context, v Version) (label Label, err error) {
	place, err := r.labelPlace(v)
	if err != nil {
		return label, fmt.Errorf("read label: %w", err)
	}
	s, err := r.config.Storage.Snapshot(ctx, place.Key, truncateMillis(r.config.Now()))
	if err != nil {
		return label, fmt.Errorf("read label: %w", err)
	}
	text, err := r.config.Sealer.Open(s.Sealed, copyContext(s))
	if err != nil {
		return label, fmt.Errorf("read label: %w", err)
	}
	if err := json.Unmarshal(text, &label); err != nil {
		return Label{}, errors.New("read label: it is not of this form")
	}
	return label, nil
}
