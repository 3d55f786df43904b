package register

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

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
	o, err := r.config.Storage.Original(ctx, v.Identifier, moment(r.config.Now()))
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
	o := Original{Identifier: v.Identifier, Made: moment(r.config.Now())}
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

// A signedContent names what an original is of. A version that was never committed may leave its identifier to another one.
type signedContent struct {
	identifier string
	content    [32]byte
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
	of := signedContent{v.Identifier, v.Content}
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
	if of := (signedContent{v.Identifier, v.Content}); r.originals[of] == p {
		delete(r.originals, of)
	}
}
