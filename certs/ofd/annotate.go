package ofd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/sheet"
)

// timeLayout is the format of times in metadata: like the dates of GB/T 36903, without separators.
const timeLayout = "20060102150405"

// Annotate makes an annotated copy. The original, where it is given, is read, so that nothing is said about a file that is no
// package, and stays as it is. ErrExpired when the notice has expired; other errors are those of [Config.Write] and [Config.Sign].
func (c Config) Annotate(ctx context.Context, a Copy) ([]byte, error) {
	now := c.now()
	switch n := a.Notice; {
	case !n.Expires.After(now):
		return nil, ErrExpired
	case n.Provider == "" || n.User == "" || n.Matter == "" || n.Case == "":
		return nil, fmt.Errorf("%w: its notice names no provider, user, matter or case", ErrDocument)
	case !marked(a.Document.Pages, n):
		return nil, fmt.Errorf("%w: the watermark of a page is not the notice", ErrDocument)
	case !slices.ContainsFunc(a.Document.Data, func(d Datum) bool { return d.Name == Identifier && d.Value != "" }):
		return nil, fmt.Errorf("%w: its metadata does not name the license", ErrDocument)
	}
	digest, err := a.digest(ctx)
	if err != nil {
		return nil, err
	}
	d := a.Document
	d.Created = now
	d.Data = append(slices.DeleteFunc(slices.Clone(d.Data), added),
		Datum{CopyMaker, cmp.Or(a.Maker, a.Notice.Provider)},
		Datum{CopyMade, now.In(china).Format(timeLayout)},
		Datum{CopyReason, cmp.Or(a.Reason, a.Notice.Matter)},
		Datum{CopyExpires, a.Notice.Expires.In(china).Format(timeLayout)},
		Datum{OriginalSM3, hex.EncodeToString(digest)},
	)
	pkg, err := c.Write(d)
	if err != nil {
		return nil, err
	}
	return c.Sign(ctx, pkg, a.Signing)
}

// digest is the SM3 of the original.
func (a Copy) digest(ctx context.Context) ([]byte, error) {
	if a.Original == nil && len(a.OriginalSM3) == sm.DigestSize {
		return a.OriginalSM3, nil
	}
	if _, err := Open(ctx, bytes.NewReader(a.Original), int64(len(a.Original))); err != nil {
		return nil, err
	}
	digest := sm.Digest(a.Original)
	return digest[:], nil
}

// marked reports whether every page has a watermark with every line of the notice. A line may be drawn in several texts, and
// spaces may be left out.
func marked(pages []*sheet.Page, n Notice) bool {
	bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for _, p := range pages {
		var text strings.Builder
		for _, item := range p.Watermark {
			if t, ok := item.(*sheet.Text); ok {
				text.WriteString(bare(t.Text))
			}
		}
		for _, line := range n.Lines() {
			if !strings.Contains(text.String(), bare(line)) {
				return false
			}
		}
	}
	return len(pages) > 0
}

// added reports whether an item of metadata is one that Annotate adds.
func added(d Datum) bool {
	return slices.Contains([]string{CopyMaker, CopyMade, CopyReason, CopyExpires, OriginalSM3}, d.Name)
}

// Lines are the watermark's text, the same in every form of a copy, PDF too.
func (n Notice) Lines() []string {
	if n.Archived {
		return []string{
			"仅供入卷",
			n.Provider + "提供，" + n.User + "办理" + n.Matter,
			"办件号 " + n.Case,
			"保管至 " + n.Expires.In(china).Format("2006年1月2日"),
		}
	}
	return []string{
		n.Provider + "提供",
		"仅供" + n.User + "办理" + n.Matter + "使用",
		"办件号 " + n.Case,
		"有效期至 " + n.Expires.In(china).Format("2006年1月2日 15:04"),
	}
}

// CopyInfo is the metadata of an annotated copy; the zero value with false when the package is no such copy.
type CopyInfo struct {
	Maker, Reason string
	Made, Expires time.Time // zero when they cannot be read
	Original      []byte    // SM3 of the original package; nil when it is not named
}

// Copy reads the metadata of an annotated copy.
func (p *Package) Copy() (CopyInfo, bool) {
	info := CopyInfo{Maker: p.Value(CopyMaker), Reason: p.Value(CopyReason)}
	info.Made, _ = parseTime(p.Value(CopyMade), false)
	info.Expires, _ = parseTime(p.Value(CopyExpires), true)
	if sum, err := hex.DecodeString(p.Value(OriginalSM3)); err == nil && len(sum) == sm.DigestSize {
		info.Original = sum
	}
	return info, p.Value(CopyMaker) != ""
}

// parseTime reads a time in the formats of vendors. A date alone is the end of that day if end is set, else its beginning.
func parseTime(s string, end bool) (time.Time, bool) {
	for _, layout := range []string{timeLayout, "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC3339, "200601021504"} {
		if t, err := time.ParseInLocation(layout, s, china); err == nil {
			return t, true
		}
	}
	for _, layout := range []string{"20060102", dateLayout, "2006年1月2日"} {
		if t, err := time.ParseInLocation(layout, s, china); err == nil {
			if end {
				t = t.AddDate(0, 0, 1)
			}
			return t, true
		}
	}
	return time.Time{}, false
}

// stepExpires reports whether an annotated copy may still be used, as far as its metadata are signed; nothing when it names no
// end.
func (p *Package) stepExpires(now time.Time, metadata []check.Step) []check.Step {
	text := p.Value(CopyExpires)
	if text == "" {
		return nil
	}
	if now.IsZero() {
		now = time.Now()
	}
	end, known := parseTime(text, true)
	switch {
	case !known:
		return []check.Step{check.CannotCheck(StepExpires, "Until when the copy may be used cannot be read.")}
	case !now.Before(end):
		return []check.Step{check.Fail(StepExpires, "The copy was for use until "+end.In(china).Format("2006-01-02 15:04:05")+".")}
	}
	for _, s := range metadata {
		if s.State != check.OK {
			return []check.Step{check.CannotCheck(StepExpires, s.Reason)}
		}
	}
	return []check.Step{check.Pass(StepExpires, "")}
}
