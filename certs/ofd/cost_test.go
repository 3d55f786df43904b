package ofd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oncegate/certs/certstest/zips"
	"oncegate/certs/ofd"
	"oncegate/check"
)

// costs makes packages of less than a megabyte that are as dear to verify as we know how.
func costs(tb testing.TB, b *bureau) map[string][]byte {
	tb.Helper()
	plain := edit(tb, b.write(tb, document(tb)), replace("OFD.xml", "</ofd:DocBody>", "<ofd:Signatures>S.xml</ofd:Signatures></ofd:DocBody>"))
	zeros := bytes.Repeat([]byte{0}, 1<<20) // up to which no ratio is asked for
	out := make(map[string][]byte)
	put := func(name string, entries ...*zips.Entry) {
		pkg := zips.Join(append(zips.Entries(tb, plain), entries...))
		if len(pkg) >= 1<<20 {
			tb.Fatalf("%s: %d bytes", name, len(pkg))
		}
		out[name] = pkg
	}
	// file is one that does not unpack to too many times its size.
	file := func(name string, data []byte) *zips.Entry {
		if len(data) > 1<<20 {
			data = append(slices.Clone(data), "<!--"+noise(len(data)/120)+"-->"...)
		}
		return zips.NewEntry(tb, name, data)
	}
	list := func(n int, path func(i int) string) *zips.Entry {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `<Signature ID="%d" BaseLoc="%s"/>`, i, path(i))
		}
		return file("S.xml", []byte("<Signatures>"+text.String()+"</Signatures>"))
	}
	signature := func(name, method, value string, refs ...string) *zips.Entry {
		var text strings.Builder
		for _, r := range refs {
			fmt.Fprintf(&text, `<Reference FileRef="%s"><CheckValue>eA==</CheckValue></Reference>`, r)
		}
		return file(name, []byte(`<Signature><SignedInfo><References CheckMethod="`+method+`">`+text.String()+
			`</References></SignedInfo><SignedValue>`+value+`</SignedValue></Signature>`))
	}
	at := func(name string) func(int) string { return func(int) string { return name } }
	many := func(n int, name string) []string { return slices.Repeat([]string{name}, n) }

	put("one file, named by 16,000 References", list(1, at("A.xml")), file("zeros", zeros), signature("A.xml", "SM3", "v", many(16_000, "zeros")...), file("v", nil))
	broken := file("zeros", zeros)
	broken.CRC, broken.LocalCRC = 1, 1
	put("one broken file, named by 16,000 References", list(1, at("A.xml")), broken, signature("A.xml", "SM3", "v", many(16_000, "zeros")...), file("v", nil))

	var big []*zips.Entry
	var names []string
	for i := range 17 {
		names = append(names, fmt.Sprintf("z%d", i))
		big = append(big, file(names[i], zeros))
	}
	put("17 MB of zeros", append(big, list(1, at("A.xml")), signature("A.xml", "SM3", "v", names...), file("v", nil))...)
	four := append(slices.Clone(big[:4]), list(4, func(i int) string { return fmt.Sprintf("%d.xml", i) }), file("v", nil))
	for i, m := range []string{"SM3", "SHA256", "SHA1", "MD5"} {
		four = append(four, signature(fmt.Sprintf("%d.xml", i), m, "v", names[:4]...))
	}
	put("4 MB of zeros by four methods", four...)
	put("64 signatures of one description", append(slices.Clone(big[:2]), list(64, at("A.xml")), signature("A.xml", "SM3", "v", many(300, "z1")...), file("v", nil))...)
	seal := append([]byte{0x30, 0x83, 0x1f, 0xff, 0xfb}, zeros...)
	put("too many descriptions", append(slices.Clone(big[:2]), list(64, at("A.xml")), signature("A.xml", "SM3", "v", many(3_000, "z1")...), file("v", nil))...)
	put("2 values of 2 megabytes", list(2, at("A.xml")), signature("A.xml", "SM3", "v", "v"), file("v", slices.Concat(seal, zeros, zeros)[:2_000_000]))

	var tiny []*zips.Entry
	names = nil
	for i := range 7_000 {
		names = append(names, fmt.Sprintf("%x", i))
		tiny = append(tiny, file(names[i], []byte("x")))
	}
	put("7,000 files, named by two signatures", append(tiny, list(2, at("A.xml")), signature("A.xml", "SM3", "v", names...), file("v", nil))...)
	tiny = nil
	for i := range 4_500 {
		e := file(fmt.Sprintf("\u017f\u0301\u1e9e/%x\u212b", i), nil)
		e.Flags, e.LocalFlags = 1<<11, 1<<11
		tiny = append(tiny, e)
	}
	put("4,500 names beyond ASCII", append(tiny, list(1, at("A.xml")))...)
	tiny = nil
	for i := range 400 {
		tiny = append(tiny, file(strings.Repeat("a/", 30)+strings.Repeat("b", 900)+fmt.Sprint(i), nil))
	}
	put("400 long names", append(tiny, list(1, at("A.xml")))...)

	put("an XML file of empty elements", list(1, at("A.xml")), file("A.xml", []byte("<a>"+strings.Repeat("<b/>", 49_000)+"</a>")))
	put("an XML file of attributes", list(1, at("A.xml")), file("A.xml", []byte("<a>"+strings.Repeat("<b"+attributes(30)+"/>", 4_000)+"</a>")))
	put("an XML file of text", list(1, at("A.xml")), file("A.xml", []byte("<a>"+strings.Repeat("&lt;", 900_000)+"</a>")))
	put("an XML file of comments", list(1, at("A.xml")), file("A.xml", []byte("<a>"+strings.Repeat("<!---->", 500_000)+"</a>")))
	var stamps strings.Builder
	for range 12_000 {
		stamps.WriteString(`<StampAnnot PageRef="1" Boundary="1 1 1 1"/>`)
	}
	put("12,000 stamps", list(2, at("A.xml")), file("A.xml", []byte(`<Signature><SignedInfo><References CheckMethod="SM3"/>`+stamps.String()+`</SignedInfo></Signature>`)))

	empty := file("empty", nil)
	empty.Packed = emptyBlocks(900_000)
	empty.Sizes(0, len(empty.Packed), 0)
	put("900 kB of deflate blocks of nothing", empty, list(1, at("A.xml")))
	put("blocks of nothing, read again", empty, list(1, at("A.xml")), signature("A.xml", "SM3", "empty", "empty"))
	put("blocks of nothing beside zeros", append(slices.Clone(big), empty, list(1, at("A.xml")), signature("A.xml", "SM3", "v", "z0", "z1", "z2", "z3", "z4", "z5", "z6", "z7", "z8", "z9"), file("v", nil))...)
	put("something of everything", append(slices.Clone(big[:6]), list(2, at("A.xml")), file("v", seal[:300_000]),
		signature("A.xml", "SM3", "v", slices.Concat(many(6_000, "z0"), []string{"z1", "z2", "z3", "z4", "z5"})...))...)
	return out
}

// attributes are n different ones.
func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` a%d=""`, i)
	}
	return b.String()
}

// emptyBlocks is a deflate stream of about n bytes that is nothing: blocks with code tables of their own and no content.
func emptyBlocks(n int) []byte {
	var out []byte
	bits := 0
	put := func(value uint32, count int) {
		for i := range count {
			if bits%8 == 0 {
				out = append(out, 0)
			}
			out[len(out)-1] |= byte(value>>i&1) << (bits % 8)
			bits++
		}
	}
	block := func(last uint32) {
		put(last, 1)
		put(2, 2) // dynamic
		put(0, 5)
		put(0, 5)
		put(18-4, 4)
		// Lengths of the codes for lengths, in their order: 1 for a run of zeros (18), 2 for the lengths 0 and 1.
		for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1} {
			put(map[int]uint32{18: 1, 0: 2, 1: 2}[symbol], 3)
		}
		run := func(zeros uint32) { put(0, 1); put(zeros-11, 7) }
		put(3, 2) // literal 0 has length 1
		run(138)
		run(117)
		put(3, 2) // so has the end of the block
		put(1, 2) // no distances
		put(1, 1) // the end of the block
	}
	for len(out) < n {
		block(0)
	}
	block(1)
	return out
}

// meter counts what is read of a package, and what its judges are asked.
type meter struct {
	io.ReaderAt
	read, asked, judged atomic.Int64
}

func (m *meter) ReadAt(b []byte, at int64) (int, error) {
	n, err := m.ReaderAt.ReadAt(b, at)
	m.read.Add(int64(n))
	return n, err
}

func (m *meter) judge(_ context.Context, value, _ []byte, _ string) ofd.Proof {
	m.asked.Add(1)
	m.judged.Add(int64(len(value)))
	return ofd.Proof{Steps: []check.Step{{Name: "seal", State: check.Failed, Reason: "not a seal"}}}
}

// TestCost counts the work of the dearest packages: each file is read a bounded number of times and digested once for each
// method, however often it is named.
func TestCost(t *testing.T) {
	b := newBureau(t)
	for name, pkg := range costs(t, b) {
		m := &meter{ReaderAt: bytes.NewReader(pkg)}
		r, work, digested, err := ofd.Measure(t.Context(), m, int64(len(pkg)), ofd.Judges{Seal: m.judge, Now: b.judges.Now})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%-45s %7d bytes: work %8d, digested %8d, read %8d, %d values of %d bytes, %v", name, len(pkg), work, digested, m.read.Load(), m.asked.Load(), m.judged.Load(), failures(r))
		if digested > ofd.MaxDigested || work > 24<<20 || m.read.Load() > 8<<20 || m.judged.Load() > 6<<20 {
			t.Errorf("%s: work %d, digested %d, read %d, judged %d", name, work, digested, m.read.Load(), m.judged.Load())
		}
	}
}

// TestDigestedOnce takes one digest of a file that many References name, whether or not they fit.
func TestDigestedOnce(t *testing.T) {
	b := newBureau(t)
	pkg := costs(t, b)["one file, named by 16,000 References"]
	_, _, digested, err := ofd.Measure(t.Context(), bytes.NewReader(pkg), int64(len(pkg)), b.judges)
	if err != nil || digested != 1<<20 {
		t.Errorf("%d bytes digested, %v", digested, err)
	}
}

// TestBudget names the budget as the fault when a package costs more, and judges nothing.
func TestBudget(t *testing.T) {
	b := newBureau(t)
	plain := b.write(t, document(t))
	large := b.sign(t, edit(t, plain, same, "a.bin", noise(12<<20)), b.sealing())
	if r := b.verify(t, large); failures(r) != nil {
		t.Errorf("12 MB: %v", failures(r))
	}
	for name, pkg := range map[string][]byte{
		"24 MiB to digest":     edit(t, large, same, "b.bin", noise(13<<20), "Doc_0/Signs/Sign_9/Signature.xml", "x"),
		"too many descriptors": costs(t, b)["too many descriptions"],
	} {
		if name == "24 MiB to digest" {
			pkg = edit(t, pkg, replace("Signature.xml", "</ofd:References>", `<ofd:Reference FileRef="/b.bin"><ofd:CheckValue>eA==</ofd:CheckValue></ofd:Reference></ofd:References>`))
		}
		r := b.verify(t, pkg)
		if len(r.Steps) != 1 || r.Steps[0].Name != ofd.StepWork || r.Steps[0].State != check.NotCheckable || r.Signatures != nil || !strings.Contains(r.Steps[0].Reason, "work budget is used up") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestOpeningCost refuses to open what costs much for its size: many documents are opened for one that is verified.
func TestOpeningCost(t *testing.T) {
	b := newBureau(t)
	pkg := edit(t, b.sealed(t), replace("OFD.xml", "</ofd:OFD>", strings.Repeat("<!-- -->", 120_000)+"</ofd:OFD>"))
	_, err := ofd.Open(t.Context(), bytes.NewReader(pkg), int64(len(pkg)))
	var refusal *ofd.Refusal
	if !errors.As(err, &refusal) || refusal.Step != ofd.StepWork || len(pkg) > 64<<10 {
		t.Errorf("%d bytes: %v", len(pkg), err)
	}
}

// TestHungUp ends opening and verifying wherever the caller hangs up.
func TestHungUp(t *testing.T) {
	b := newBureau(t)
	for name, pkg := range map[string][]byte{"sealed": b.sealed(t), "dear": costs(t, b)["something of everything"]} {
		whole := &hangs{Context: t.Context(), left: 1 << 30}
		if _, err := ofd.Verify(whole, bytes.NewReader(pkg), int64(len(pkg)), b.judges); err != nil {
			t.Fatal(err)
		}
		asked := 1<<30 - int(whole.left)
		for n := 0; n < asked; n += 1 + asked/50 {
			ctx := &hangs{Context: t.Context(), left: int64(n)}
			r, err := ofd.Verify(ctx, bytes.NewReader(pkg), int64(len(pkg)), b.judges)
			if !errors.Is(err, context.Canceled) || r.Steps != nil {
				t.Errorf("%s, after %d of %d looks: %v %+v", name, n, asked, err, r)
			}
		}
	}
}

// hangs is a context that ends after it was looked at some times.
type hangs struct {
	context.Context
	left int64
}

func (h *hangs) Err() error {
	if atomic.AddInt64(&h.left, -1) < 0 {
		return context.Canceled
	}
	return nil
}

// processor is the time of processors that the process took.
func processor(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDearest verifies the dearest packages of less than a megabyte. None may take more than 0.2 s of processor.
func BenchmarkDearest(b *testing.B) {
	bu := newBureau(b)
	for name, pkg := range costs(b, bu) {
		b.Run(name, func(b *testing.B) {
			before := processor(b)
			for b.Loop() {
				bu.verify(b, pkg)
			}
			b.ReportMetric(float64((processor(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}
