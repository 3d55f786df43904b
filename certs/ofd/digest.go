package ofd

import (
	"bytes"
	"context"
	"crypto/md5"  // standard default of CheckMethod; judged as weak
	"crypto/sha1" // likewise
	"crypto/sha256"
	"hash"
	"io"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"oncegate/certs/sm"
)

// method is a digest of References (CheckMethod).
type method struct {
	name string
	weak bool
	make func() hash.Hash
}

// methodOf finds a digest by its name in CheckMethod. The default of the standard is MD5; one vendor writes the OID of
// HMAC-SM3 and means SM3.
func methodOf(name string) (method, bool) {
	switch strings.ToUpper(name) {
	case "SM3", "1.2.156.10197.1.401", "1.2.156.10197.1.401.1", "1.2.156.10197.1.401.2":
		return method{"SM3", false, sm.New}, true
	case "SHA256", "SHA-256", "2.16.840.1.101.3.4.2.1":
		return method{"SHA-256", false, sha256.New}, true
	case "SHA1", "SHA-1", "1.3.14.3.2.26":
		return method{"SHA-1", true, sha1.New}, true
	case "MD5", "1.2.840.113549.2.5", "":
		return method{"MD5", true, md5.New}, true
	}
	return method{}, false
}

// digests are the digests of a package's files, each taken once, whatever asks for it.
type digests map[digestKey][]byte

type digestKey struct{ path, method string }

// maxReaders bounds the files that are read at once: each takes some 100 kB.
const maxReaders = 8

// wants is what has to be found out about the files of a package: digests by methods, and the content where it is read later.
type wants struct {
	digests map[string][]method
	content map[string]bool
}

// contents unpacks every file and folder of the package once, and takes the digests that are wanted. A file that does not
// unpack to just what the zip says refuses the package: which of two contents it has depends on the reader.
func (p *Package) contents(ctx context.Context, want wants, b *budget) (digests, error) {
	need := want.digests
	for i := range p.entries {
		e := &p.entries[i]
		if err := b.unpack(e); err != nil {
			return nil, err
		}
		if err := b.digest(e.size * int64(len(need["/"+e.name]))); err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex // protects done and b
	done := make(digests)
	faults := make([]error, len(p.entries)+len(p.folders))
	var readers errgroup.Group
	readers.SetLimit(min(runtime.GOMAXPROCS(0), maxReaders))
	read := func(i int, e *entry) {
		readers.Go(func() error {
			at := "/" + e.name
			sums := make([]hash.Hash, len(need[at]))
			to := make([]io.Writer, len(sums))
			for j, m := range need[at] {
				sums[j] = m.make()
				to[j] = sums[j]
			}
			mu.Lock()
			content, kept := b.files[at]
			mu.Unlock()
			var whole bytes.Buffer
			keep := !kept && want.content[at] && e.size <= max(MaxValue, MaxXML)
			if keep {
				whole.Grow(int(e.size))
				to = append(to, &whole)
			}
			if kept {
				_, faults[i] = io.Copy(io.MultiWriter(to...), cancelled{ctx, bytes.NewReader(content)})
			} else {
				faults[i] = p.copyTo(ctx, io.MultiWriter(to...), e)
			}
			if faults[i] != nil {
				return nil // the first in order is reported
			}
			mu.Lock()
			defer mu.Unlock()
			if keep {
				b.keep(at, whole.Bytes())
			}
			for j, m := range need[at] {
				done[digestKey{at, m.name}] = sums[j].Sum(nil)
			}
			return nil
		})
	}
	for i := range p.entries {
		read(i, &p.entries[i])
	}
	for i := range p.folders {
		read(len(p.entries)+i, &p.folders[i])
	}
	_ = readers.Wait()
	for _, err := range faults {
		if err != nil {
			return nil, err
		}
	}
	return done, nil
}
