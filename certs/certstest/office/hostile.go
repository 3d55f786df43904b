package office

import (
	"archive/zip"
	"bytes"
	"encoding/pem"
	"fmt"
	"path"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"oncegate/certs/cms"
)

// Hostile are files made to attack their readers (decompression bombs, cycles, oversized input). Each must fail in some step.
func (o *Office) Hostile() []Case {
	o.tb.Helper()
	good := o.License()
	one := func(name string, data []byte, step string) Case {
		return Case{Name: name, Files: map[string][]byte{First: data}, Step: step}
	}
	replace := func(base string, now []byte) []byte {
		return Edit(o.tb, good, func(name string, data []byte) []byte {
			if path.Base(name) == base {
				return now
			}
			return data
		})
	}
	message, err := cms.Sign(o.tb.Context(), cms.Config{Now: o.at(o.Signed)}, []byte("content"), o.Identity)
	o.must(err)
	token, err := o.Stamps.Stamp(o.tb.Context(), []byte("data"))
	o.must(err)
	var value []byte
	Edit(o.tb, good, func(name string, data []byte) []byte {
		if path.Base(name) == "SignedValue.dat" {
			value = data
		}
		return data
	})
	levels := bytes.Repeat([]byte{0x30, 0x80}, 10_000)
	all := []Case{
		one("a zip bomb", o.zip(func(put func(string, []byte)) { put("OFD.xml", make([]byte, 256<<20)) }), "ofd-package"),
		one("many small bombs", o.zip(func(put func(string, []byte)) {
			for i := range 300 {
				put(fmt.Sprint(i), make([]byte, 1<<20))
			}
		}), "ofd-package"),
		one("100,000 entries", o.zip(func(put func(string, []byte)) {
			for i := range 100_000 {
				put(fmt.Sprint(i), nil)
			}
		}), "ofd-package"),
		one("a way out", o.zip(func(put func(string, []byte)) { put("Doc_0/../../../etc/passwd", []byte("x")) }), "ofd-package"),
		one("10,000 levels", replace("OFD.xml", []byte(strings.Repeat("<a>", 10_000)+strings.Repeat("</a>", 10_000))), "ofd-xml"),
		one("10,000 levels of a page list", replace("Document.xml", []byte(strings.Repeat("<a>", 10_000))), "ofd-xml"),
		one("an entity", replace("OFD.xml", []byte(`<!DOCTYPE a [<!ENTITY b "`+strings.Repeat("c", 1000)+`">]><a>&b;</a>`)), "ofd-xml"),
		one("100,000 lists", bytes.Repeat([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"), 100_000), "revocation-list-form"),
		one("a seal of 10,000 levels", replace("SignedValue.dat", levels), "signature[0]/seal-form"),
		one("a seal of 4 GB", replace("SignedValue.dat", append([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, value[4:]...)), "signature[0]/seal-form"),
	}
	for name, data := range map[string][]byte{"a message": message, "a token": token, "a signature": value, "a seal": o.Holder.Seal.Raw, "a certificate": o.Holder.Certificate.Raw, "a list": derOf(o.Revoked(nil, time.Time{}))} {
		all = append(all,
			one(name+" of 4 GB", slices.Concat([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, data[4:]), ""),
			one(name+" without an end", slices.Concat([]byte{0x30, 0x80}, data[4:]), ""),
			one(name+" with more behind", slices.Concat(data, make([]byte, 1<<20)), ""),
			one(name+" of 10,000 levels", slices.Concat(data[:40], levels), ""),
		)
		for n := 5; n < len(data); n += 1 + len(data)/8 {
			all = append(all, one(fmt.Sprintf("%s cut at %d", name, n), data[:n], ""))
		}
	}
	for n := 4; n < len(good); n += 1 + len(good)/16 {
		all = append(all, one(fmt.Sprintf("a document cut at %d", n), good[:n], "ofd-package"))
	}
	return all
}

// derOf is the DER in one PEM block.
func derOf(text []byte) []byte {
	block, _ := pem.Decode(text)
	return block.Bytes
}

func (o *Office) zip(fill func(put func(name string, data []byte))) []byte {
	o.tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	fill(func(name string, data []byte) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		o.must(err)
		_, err = f.Write(data)
		o.must(err)
	})
	o.must(w.Close())
	return b.Bytes()
}

// Peak runs something and returns by how many bytes the heap, garbage that was not collected yet included, was larger
// meanwhile than before.
func Peak(run func()) uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(samples)
		return samples[0].Value.Uint64()
	}
	before := read()
	done, peaked := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				peaked <- most
				return
			case <-tick.C:
				most = max(most, read())
			}
		}
	}()
	run()
	last := read()
	close(done)
	return max(<-peaked, last, before) - before
}
