package ofd

import (
	"crypto/md5"  // standard default of CheckMethod; judged as weak
	"crypto/sha1" // likewise
	"crypto/sha256"
	"hash"
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

// digests remembers the digests of a package's files, so that many signatures read each file once per method.
type digests struct {
	p    *Package
	done map[digestKey][]byte
}

type digestKey struct{ path, method string }

// ahead takes the digests of files that will be asked for, several at once. What cannot be read is left for of to say.
func (d *digests) ahead(paths []string, m method) {
	var mu sync.Mutex // protects d.done
	var readers errgroup.Group
	readers.SetLimit(min(runtime.GOMAXPROCS(0), maxReaders))
	for _, at := range paths {
		e, key := d.p.find(at), digestKey{at, m.name}
		readers.Go(func() error {
			mu.Lock()
			_, known := d.done[key]
			mu.Unlock()
			h := m.make()
			if known || e == nil || d.p.copyTo(h, e) != nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			d.done[key] = h.Sum(nil)
			return nil
		})
	}
	_ = readers.Wait()
}

// maxReaders bounds the files that are read at once: each takes some 100 kB.
const maxReaders = 8

// of returns the digest of a file.
func (d *digests) of(at string, m method) ([]byte, error) {
	key := digestKey{at, m.name}
	if sum, ok := d.done[key]; ok {
		return sum, nil
	}
	e := d.p.find(at)
	if e == nil {
		return nil, errMissing
	}
	h := m.make()
	if err := d.p.copyTo(h, e); err != nil {
		return nil, err
	}
	sum := h.Sum(nil)
	d.done[key] = sum
	return sum, nil
}
