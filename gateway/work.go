package gateway

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"oncegate/license"
	"oncegate/register"
)

// work is what one attempt at a call has signed so far, and what must commit with its record. Deciding again starts with
// new work.
type work struct {
	g       *Gateway
	c       *call
	signed  map[string]signed // by type, issuer and license number
	kept    map[license.Question]bool
	sealed  map[string]register.Original // by identifier
	changes []any
}

// signed is a record with its signed version.
type signed struct {
	record  license.License
	version register.Signed
}

func (g *Gateway) newWork(c *call) *work {
	return &work{g: g, c: c, signed: make(map[string]signed), kept: make(map[license.Question]bool), sealed: make(map[string]register.Original)}
}

// result is the outcome of an attempt: the answer, its uses, and the changes with the conditions that they rest on.
func (w *work) result(ctx context.Context, answer any, needs []*need) *result {
	uses := w.c.usesOf(needs...)
	w.keep(ctx, needs)
	return &result{answer: answer, uses: uses, changes: append(guards(w.c, needs), w.changes...)}
}

// errTwofold says that a source states one license in two ways within one call.
var errTwofold = errors.New("the source states one license in two ways")

// current returns the signed version of a license as the source states it now, signing it if its content is new.
func (w *work) current(ctx context.Context, n *need, l license.License) (register.Signed, error) {
	key := strings.Join([]string{l.Type, l.Issuer.Code, l.Number}, "\x00")
	if s, ok := w.signed[key]; ok {
		if !reflect.DeepEqual(s.record, l) {
			return register.Signed{}, errTwofold
		}
		return s.version, nil
	}
	version, changes, err := w.c.config.Register.Current(ctx, l, n.finding.AsOf)
	if errors.Is(err, register.ErrOutdated) && !n.finding.Stale {
		return version, &outdated{n.ask}
	}
	if err != nil {
		return version, err
	}
	w.signed[key] = signed{l, version}
	w.changes = append(w.changes, changes...)
	return version, nil
}

// observe takes over what a source says of a license that is not released: its status, if it was signed before. What makes
// no sense is not taken over.
func (w *work) observe(ctx context.Context, record license.License, asOf time.Time) error {
	changes, err := w.c.config.Register.Observe(ctx, record, asOf)
	if err != nil && !errors.Is(err, register.ErrFaulty) {
		return err
	}
	w.changes = append(w.changes, changes...)
	return nil
}

// keep keeps what the sources said for when they are down, that they have nothing too, where some grant allows a copy of
// some age.
func (w *work) keep(ctx context.Context, needs []*need) {
	for _, n := range needs {
		w.keepOne(ctx, n)
		if n.confirm != nil {
			w.keepOne(ctx, n.confirm)
		}
	}
}

func (w *work) keepOne(ctx context.Context, n *need) {
	fresh := !n.finding.Stale && (n.finding.State == license.IsFound || n.finding.State == license.IsNotFound)
	longest := w.c.config.Policy.LongestAge(n.ask.Type, w.c.now)
	if !fresh || longest <= 0 || w.kept[n.ask] {
		return
	}
	for _, record := range n.finding.Records {
		if !belongs(record, n.ask) {
			return
		}
	}
	w.kept[n.ask] = true
	changes, err := w.c.config.Register.KeepCopy(ctx, n.ask, n.finding, longest)
	if err != nil {
		w.g.logger.Error("the copy of a source record was not kept", "source", n.finding.Source, "error", err.Error())
		return
	}
	w.changes = append(w.changes, changes...)
}

// holderAt is the holder in a place of a license's list, if there is one.
func holderAt(record license.License, place string) []license.Holder {
	i, err := strconv.Atoi(place)
	if err != nil || i < 0 || i >= len(record.Holders) {
		return nil
	}
	return record.Holders[i : i+1]
}
