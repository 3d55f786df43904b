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

// copyRest is how long a kept copy is left alone while its source says the same: a license that many ask for is not written
// anew each time. Its age is then overstated by this much at most.
const copyRest = time.Minute

// KeepCopy returns the change that keeps what a source said, for when it is unavailable; none if an equal copy was kept
// within the last minute. longest is the longest age that any grant allows of this type: after it the copy is gone, and
// where it is 0 nothing may be kept. That a source has no record is kept too, so that an older copy cannot come back. A
// finding that is stale or unavailable is no news.
func (r *Register) KeepCopy(ctx context.Context, q license.Question, f license.Finding, longest time.Duration) ([]any, error) {
	if longest <= 0 || f.Stale || f.State == license.IsUnavailable {
		return nil, errors.New("keep copy: there is nothing that may be kept")
	}
	key, err := r.copyKey(q.Type, q.Holder, q.Number)
	if err != nil {
		return nil, fmt.Errorf("keep copy: %w", err)
	}
	text, err := json.Marshal(copyContent{f.Source, f.Records}, json.Deterministic(true), json.FormatNilSliceAsNull(true), json.FormatNilMapAsNull(true))
	if err != nil {
		return nil, errors.New("keep copy: a record cannot be written") // the library's text may quote it
	}
	s := Snapshot{Key: key, AsOf: truncateMillis(f.AsOf), Expires: truncateMillis(f.AsOf).Add(longest)}
	digest := r.keys.copy.Sum(text)
	if r.rests(ctx, s, digest) {
		return nil, nil
	}
	if s.Sealed, err = r.config.Sealer.Seal(text, copyContext(s)); err != nil {
		return nil, fmt.Errorf("keep copy: %w", err)
	}
	r.noteCopy(s, digest)
	return []any{Keep{s}}, nil
}

// A keptCopy is what was lately to be kept for a question; whether it was committed, the storage knows.
type keptCopy struct {
	digest        [32]byte
	tail          string // last bytes of the sealed blob, which no other has
	asOf, expires time.Time
}

func tail(sealed []byte) string { return string(sealed[max(0, len(sealed)-16):]) }

// rests reports whether an equal copy that lives as long stands already and is not older than copyRest.
func (r *Register) rests(ctx context.Context, s Snapshot, digest [32]byte) bool {
	r.mu.Lock()
	last, ok := r.copies[s.Key]
	r.mu.Unlock()
	age := s.AsOf.Sub(last.asOf)
	if !ok || last.digest != digest || age < 0 || age >= copyRest || s.Expires.Sub(last.expires) != age {
		return false
	}
	stands, err := r.config.Storage.Snapshot(ctx, s.Key, truncateMillis(r.config.Now()))
	return err == nil && tail(stands.Sealed) == last.tail
}

// maxCopies bounds what is noted of copies.
const maxCopies = 4096

func (r *Register) noteCopy(s Snapshot, digest [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.copies {
		if len(r.copies) < maxCopies {
			break
		}
		delete(r.copies, key)
	}
	r.copies[s.Key] = keptCopy{digest, tail(s.Sealed), s.AsOf, s.Expires}
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
		s, err := r.config.Storage.Snapshot(ctx, key, truncateMillis(r.config.Now()))
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
	return sumOf(r.keys.copy, parts...)
}

// copyContext binds a blob to its question and its moment: an old one cannot be put in the place of a new one.
func copyContext(s Snapshot) []byte {
	aad := append([]byte("oncegate/copy/v1\x00"), s.Key[:]...)
	return binary.BigEndian.AppendUint64(aad, uint64(s.AsOf.UnixMilli()))
}

// Purge deletes the kept copies and originals that have expired.
func (r *Register) Purge(ctx context.Context) error {
	if err := r.config.Storage.Purge(ctx, truncateMillis(r.config.Now())); err != nil {
		return fmt.Errorf("purge kept copies: %w", err)
	}
	return nil
}

// An Original is the document of one version (证照文件), sealed with the department's seal once. Its bytes are kept sealed under
// our own key, too: the whole license stands in them.
type Original struct {
	Identifier string    // of the version
	Digest     [32]byte  // SM3 of the document: what annotated copies refer to
	Sealed     []byte    // the document
	Made       time.Time //
	Expires    time.Time // when it must be gone
}

// KeepOriginal keeps the original of a version. Refused with ErrTaken if another stands that has not expired, or the version is
// unknown; the same again changes nothing.
type KeepOriginal struct{ Original Original }

// maxOriginals bounds how many originals are being made, or made and not known to be committed.
const maxOriginals = 64

// Original returns the original of a version, and the change that must commit with the record of what refers to it; none if it
// is kept already. Where there is none, make makes it: once for all who ask at the moment. A refusal with ErrTaken means that
// another node was first: call Original again. The error of make comes back as it is, wrapped.
func (r *Register) Original(ctx context.Context, v Version, make func(context.Context) ([]byte, error)) (Original, []any, error) {
	o, changes, err := r.original(ctx, v, make)
	if err != nil {
		return Original{}, nil, fmt.Errorf("find original: %w", err)
	}
	return o, changes, nil
}

func (r *Register) original(ctx context.Context, v Version, make func(context.Context) ([]byte, error)) (Original, []any, error) {
	o, err := r.config.Storage.Original(ctx, v.Identifier, truncateMillis(r.config.Now()))
	if err == nil {
		return o, nil, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return o, nil, err
	}
	p, mine := r.joinOriginal(v)
	if mine {
		// Others wait for it, so it must not end with this caller.
		making, cancel := context.WithTimeout(context.WithoutCancel(ctx), signPatience)
		defer cancel()
		defer close(p.done)
		p.err = errors.New("making it was broken off")
		p.original, p.err = r.makeOriginal(making, v, make)
	} else {
		select {
		case <-p.done:
		case <-ctx.Done():
			return o, nil, context.Cause(ctx)
		}
	}
	if p.err != nil {
		r.dropOriginal(v, p)
		return o, nil, p.err
	}
	return p.original, []any{KeepOriginal{p.original}}, nil
}

func (r *Register) makeOriginal(ctx context.Context, v Version, make func(context.Context) ([]byte, error)) (Original, error) {
	document, err := make(ctx)
	if err != nil {
		return Original{}, err
	}
	o := Original{Identifier: v.Identifier, Made: truncateMillis(r.config.Now())}
	o.Expires = o.Made.Add(r.config.Originals)
	h := r.config.NewSM3()
	h.Write(document)
	h.Sum(o.Digest[:0])
	o.Sealed, err = r.config.Sealer.Seal(document, originalContext(o))
	return o, err
}

// OpenOriginal returns the bytes of an original.
func (r *Register) OpenOriginal(o Original) ([]byte, error) {
	document, err := r.config.Sealer.Open(o.Sealed, originalContext(o))
	if err != nil {
		return nil, fmt.Errorf("open original: %w", err)
	}
	return document, nil
}

// originalContext binds the sealed bytes to the version and the digest beside them.
func originalContext(o Original) []byte {
	return append([]byte("oncegate/register/original/v1\x00"+o.Identifier+"\x00"), o.Digest[:]...)
}

// A pendingOriginal is being made, or made and not known to be committed.
type pendingOriginal struct {
	since    time.Time
	done     chan struct{} // closed when original or err is set
	original Original
	err      error
}

// A signedContent names what a version says. A version that was never committed may leave its identifier to another one.
type signedContent struct {
	identifier string
	content    [32]byte
}

// An originalKey names the pending original of a version. What is drawn shows the version's slot, as a code, so a version that lost its slot to
// another license before it was committed has another original.
type originalKey struct {
	signedContent
	place
}

func originalKeyOf(v Version) originalKey {
	return originalKey{signedContent{v.Identifier, v.Content}, place{v.List, v.Slot}}
}

// joinOriginal finds the pending original of a version, or begins one, which is then the caller's to make.
func (r *Register) joinOriginal(v Version) (p *pendingOriginal, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	for of, p := range r.originals {
		if now.Sub(p.since) >= pendingLife {
			delete(r.originals, of)
		}
	}
	of := originalKeyOf(v)
	if p, ok := r.originals[of]; ok {
		return p, false
	}
	p = &pendingOriginal{since: now, done: make(chan struct{})}
	if len(r.originals) < maxOriginals {
		r.originals[of] = p
	}
	return p, true
}

// dropOriginal forgets one that could not be made, so that the next caller tries again.
func (r *Register) dropOriginal(v Version, p *pendingOriginal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := originalKeyOf(v); r.originals[of] == p {
		delete(r.originals, of)
	}
}
