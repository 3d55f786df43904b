package register

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/license"
)

// copyContent is what is sealed of a finding. Its form stays within the register.
type copyContent struct {
	Source  string            `json:"source"`
	Records []license.License `json:"records"`
}

// KeepCopy returns the change that keeps what a source said, for when it is unavailable. longest is the longest age that
// any grant allows of this type: after it the copy is gone, and where it is 0 nothing may be kept. That a source has no
// record is kept too, so that an older copy cannot come back. A finding that is stale or unavailable is no news.
func (r *Register) KeepCopy(q license.Question, f license.Finding, longest time.Duration) (Keep, error) {
	if longest <= 0 || f.Stale || f.State == license.IsUnavailable {
		return Keep{}, errors.New("keep copy: there is nothing that may be kept")
	}
	key, err := r.copyKey(q.Type, q.Holder, q.Number)
	if err != nil {
		return Keep{}, fmt.Errorf("keep copy: %w", err)
	}
	text, err := json.Marshal(copyContent{f.Source, f.Records}, json.Deterministic(true), json.FormatNilSliceAsNull(true), json.FormatNilMapAsNull(true))
	if err != nil {
		return Keep{}, errors.New("keep copy: a record cannot be written") // the library's text may quote it
	}
	s := Snapshot{Key: key, AsOf: moment(f.AsOf), Expires: moment(f.AsOf).Add(longest)}
	if s.Sealed, err = r.config.Sealer.Seal(text, copyContext(s)); err != nil {
		return Keep{}, fmt.Errorf("keep copy: %w", err)
	}
	return Keep{s}, nil
}

// LastCopy returns what was kept for a question, marked stale and with the moment whose truth it is, if it is not older
// than maxAge; fs.ErrNotExist if there is none. A question for one number is also answered from a copy of all.
func (r *Register) LastCopy(ctx context.Context, q license.Question, maxAge time.Duration) (license.Finding, error) {
	f, err := r.lastCopy(ctx, q, maxAge)
	if err != nil {
		return license.Finding{}, fmt.Errorf("read kept copy: %w", err)
	}
	return f, nil
}

func (r *Register) lastCopy(ctx context.Context, q license.Question, maxAge time.Duration) (license.Finding, error) {
	s, err := r.newest(ctx, q)
	if err != nil {
		return license.Finding{}, err
	}
	if maxAge <= 0 || r.config.Now().Sub(s.AsOf) > maxAge {
		return license.Finding{}, fs.ErrNotExist
	}
	text, err := r.config.Sealer.Open(s.Sealed, copyContext(s))
	if err != nil {
		return license.Finding{}, err
	}
	var kept copyContent
	if err := json.Unmarshal(text, &kept); err != nil {
		return license.Finding{}, errors.New("the copy is not of this form")
	}
	return kept.finding(q, s.AsOf), nil
}

// newest returns the newest copy that answers a question: its own, or that of all the holder's licenses of the type.
func (r *Register) newest(ctx context.Context, q license.Question) (Snapshot, error) {
	var newest Snapshot
	numbers := []string{""}
	if q.Number != "" {
		numbers = append(numbers, q.Number)
	}
	for _, number := range numbers {
		key, err := r.copyKey(q.Type, q.Holder, number)
		if err != nil {
			return newest, err
		}
		s, err := r.config.Storage.Snapshot(ctx, key, moment(r.config.Now()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return newest, err
		}
		if err == nil && s.AsOf.After(newest.AsOf) {
			newest = s
		}
	}
	if newest.Sealed == nil {
		return newest, fs.ErrNotExist
	}
	return newest, nil
}

func (k copyContent) finding(q license.Question, asOf time.Time) license.Finding {
	f := license.Finding{State: license.IsFound, AsOf: asOf, Source: k.Source, Stale: true, Records: k.Records}
	if q.Number != "" {
		f.Records = slices.DeleteFunc(f.Records, func(l license.License) bool { return l.Number != q.Number })
	}
	if len(f.Records) == 0 {
		f.State, f.Records = license.IsNotFound, nil
	}
	return f
}

// copyKey is the key of a question: unguessable, and the same however the holder's code was written. A question for one
// number has a key of its own.
func (r *Register) copyKey(typ string, holder license.HolderID, number string) ([32]byte, error) {
	holder = holder.Normal()
	parts := []string{typ, holder.Type, holder.Code}
	if number != "" {
		parts = append(parts, number)
	}
	return r.config.macList(r.keys.copy, parts...)
}

// copyContext binds a blob to its question and its moment: an old one cannot be put in the place of a new one.
func copyContext(s Snapshot) []byte {
	aad := append([]byte("oncegate/copy/v1\x00"), s.Key[:]...)
	return binary.BigEndian.AppendUint64(aad, uint64(s.AsOf.UnixMilli()))
}

// Purge deletes the kept copies that have expired.
func (r *Register) Purge(ctx context.Context) error {
	if err := r.config.Storage.Purge(ctx, moment(r.config.Now())); err != nil {
		return fmt.Errorf("purge kept copies: %w", err)
	}
	return nil
}
