package console

import (
	"archive/zip"
	"bytes"
	"net/http"
	"strconv"

	"oncegate/canonical"
	"oncegate/license"
)

// A takenDownPage is 审计取证单: a record on paper, with places for both signatures.
type takenDownPage struct {
	recordPage
	Office   string
	Recorded string // when, with the year
	Today    license.Date
	Digest   string // of the receipt, so that paper and bundle can be compared
	Bundle   string // name of the file
}

func (takenDownPage) paper() bool   { return true }
func (takenDownPage) title() string { return "审计取证单" }

func (c *Console) takenDown(v *visit) error {
	k, a, err := v.openedRecord()
	if err != nil || k.Reply == nil {
		return notHere(err)
	}
	record, err := v.recordOf(k, a)
	if err != nil {
		return err
	}
	raw, err := canonical.Marshal(a.Receipt)
	if err != nil {
		return err
	}
	sum := c.NewSM3()
	_, _ = sum.Write(raw)
	return v.render(200, "takendown", takenDownPage{
		recordPage: record, Office: v.hall.Name, Recorded: a.Record.Time.In(license.Shanghai()).Format("2006-01-02 15:04:05"), Today: license.DateOf(v.now), Digest: hexOf(sum.Sum(nil)), Bundle: bundleName(k.Index),
	})
}

func notHere(err error) error {
	if err != nil {
		return err
	}
	return errNotHere
}

// hexOf is a digest in groups, for reading aloud.
func hexOf(digest []byte) string {
	var b bytes.Buffer
	for i, one := range digest {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteString(sprint("%02x", one))
	}
	return b.String()
}

func bundleName(index uint64) string {
	return "record-" + strconv.FormatUint(index, 10) + ".evidence.zip"
}

// A packed is one file of a bundle.
type packed struct {
	name string
	data []byte
}

// bundle is 证据包: the record's receipt with its checkpoint, and the answers by which the auditor learned of it, as oncegate verify takes
// them. It makes no call: everything in it was answered before.
func (c *Console) bundle(v *visit) error {
	k, a, err := v.openedRecord()
	if err != nil || k.Reply == nil {
		return notHere(err)
	}
	name := "record-" + strconv.FormatUint(k.Index, 10)
	receipt, err := canonical.Marshal(a.Receipt)
	if err != nil {
		return err
	}
	files := []packed{
		{name + ".receipt.json", receipt},
		{name + ".checkpoint", []byte(a.Receipt.Checkpoint)},
		{name + ".read.json", k.Reply},
	}
	if call, err := kept[auditCall](v, k.Evidence); err == nil && call.Reply != nil {
		files = append(files, packed{name + ".evidence.json", call.Reply})
	}
	for i, reply := range k.Replies {
		files = append(files, packed{name + sprint(".judgement-%d.json", i+1), reply})
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		out, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: k.Began})
		if err != nil {
			return err
		}
		if _, err := out.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	v.attach("application/zip", bundleName(k.Index))
	_, _ = v.w.Write(b.Bytes())
	return nil
}

// attach makes the answer a file.
func (v *visit) attach(media, name string) {
	h := v.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	v.w.WriteHeader(http.StatusOK)
}
