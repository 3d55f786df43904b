package console

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
)

// A case's file (案卷) of what was called up electronically belongs to the archive like the paper it replaces (GB/T 42727-2023). The package
// (归档包) is made of one call: a check of the case that wants a copy of every license and the uploads that the window filed, with its own record. The
// package is built from what is kept of that call, byte for byte the same however often it is fetched, so that its digest can be recorded when it
// is handed over. It holds, beside the copies, the whole signed answer and the receipts of the session's calls about the case: oncegate verify
// proves them offline.

// caseFileFormat is the published format of index.json (docs/console.md).
const caseFileFormat = "oncegate-case-file/1"

// Bounds of a package.
const (
	mostCopies  = 16       // licenses of which a copy is drawn
	mostUploads = 4        // uploads that are given back
	mostReply   = 16 << 20 // bytes of the answer
	replyPart   = 900 << 10
)

// caseFileRoutes are the pages of the case's file.
func (c *Console) caseFileRoutes() []route {
	return []route{
		{pattern: "POST /console/window/{id}/file", operations: []string{"cases.check"}, serve: c.makeCaseFile},
		{pattern: "GET /console/file/{id}", page: "casefile", serve: c.caseFile},
		{pattern: "GET /console/file/{id}/index", page: "casefileindex", serve: c.caseFileIndex},
		{pattern: "GET /console/file/{id}/package", serve: c.caseFilePackage},
		{pattern: "POST /console/file/{id}/handover", page: "casefile", operations: []string{"cases.handover"}, serve: c.handOver},
	}
}

// A keptFile is what is kept of a package: the answer stands in parts beside it.
type keptFile struct {
	counterCase
	Of       string           `json:"of"` // page of the result
	Matter   string           `json:"matter"`
	Parts    int              `json:"parts"`
	Earlier  []jsontext.Value `json:"earlier,omitzero"` // receipts of the calls before
	Over     time.Time        `json:"over,omitzero"`    // handed over
	Archive  string           `json:"archive,omitzero"` // to whom
	OverNote string           `json:"over_note,omitzero"`
}

// partID is under which key a part of an answer is kept.
func (v *visit) partID(id string, n int) string {
	sum := v.console.NewSM3()
	_, _ = sum.Write([]byte("part " + strconv.Itoa(n) + " " + id))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
}

// makeCaseFile makes the call of a package.
func (c *Console) makeCaseFile(v *visit) error {
	once, _, err := v.oncePosted()
	if err != nil {
		return err
	}
	k, err := v.counterCase(v.r.PathValue("id"))
	if err == nil && k.Answer == nil {
		err = errNotHere
	}
	if err != nil {
		return err
	}
	began := keptFile{counterCase: counterCase{ID: once, Began: v.now, Pending: true, Ask: k.Ask}, Of: k.ID, Matter: k.Answer.Matter, Earlier: slices.Concat(k.Receipts, receiptsOf(k.Received))}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		done.Pending = false
		reply := v.answered(ctx, &done.counterCase, "a", "cases.check", map[string]string{"no": k.Ask.number()}, v.wholeFile(k))
		switch {
		case reply == nil:
		case len(reply) > mostReply:
			done.Refused = refusal("cases.check", api.NewProblem("too-large"))
		default:
			for part := range slices.Chunk(reply, replyPart) {
				if err := v.console.gate.Keep(ctx, v.Session, v.partID(once, done.Parts), part); err != nil {
					v.console.Logger.ErrorContext(ctx, "reply was not kept", "error", err.Error())
					done.Refused = refusal("cases.check", api.NewProblem("internal"))
					break
				}
				done.Parts++
			}
		}
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/file/" + once)
	return nil
}

func receiptsOf(all []receivedNote) (out []jsontext.Value) {
	for _, got := range all {
		out = append(out, got.Receipts...)
	}
	return out
}

// wholeFile asks for everything that belongs to the case's file.
func (v *visit) wholeFile(k counterCase) api.CheckRequest {
	q := api.CheckRequest{Notice: v.hall.Notice.Version}
	standing := v.standing(k)
	seen := map[[2]string]bool{}
	for i, m := range k.Answer.Materials {
		key := [2]string{m.Matter, m.Material}
		if seen[key] {
			continue
		}
		seen[key] = true
		part, _ := v.snapshot.Book.Matter(m.Matter)
		material, _ := part.Material(m.Material)
		switch j := standing[i]; {
		case j.State == cases.Met && len(q.Documents) < mostCopies:
			q.Documents = append(q.Documents, api.DocumentWanted{Matter: m.Matter, Material: m.Material, Form: api.DocumentFormOfd, Archive: true})
		case material.Filing != "" && (j.State == cases.OnFile || j.Covered == cases.HowUploaded) && len(q.Files) < mostUploads:
			q.Files = append(q.Files, api.FileWanted{Matter: m.Matter, Material: m.Material})
		}
	}
	return q
}

// answered makes a call and returns the whole reply; nil where it was refused, which is noted.
func (v *visit) answered(ctx context.Context, k *counterCase, part, operation string, path map[string]string, body any) []byte {
	var reply jsontext.Value
	if !v.call(ctx, k, part, operation, path, body, &reply) {
		return nil
	}
	return reply
}

// A caseFilePage is the package of a case's file.
type caseFilePage struct {
	ID, Of   string
	Case     string
	Matter   string
	At       time.Time
	Pending  bool
	Lost     bool
	Fault    string
	Do       string
	Sentence string
	Items    []fileItem
	Package  string // SM3 of the package, in groups
	Once     string
	Archive  field
	Over     time.Time
	OverTo   string
	Number   string
}

func (caseFilePage) title() string    { return "归档包" }
func (p caseFilePage) record() string { return p.Number }

// A fileItem is one line of the index of a case's file, as index.json has it.
type fileItem struct {
	No     int    `json:"no"`
	Title  string `json:"title"`            // of the material
	Kind   string `json:"kind"`             // copy, upload, answer, receipt; result: what the case ends with; or none: nothing electronic
	File   string `json:"file,omitempty"`   // name in the package
	Media  string `json:"media,omitempty"`  // media type
	Size   int    `json:"size,omitempty"`   // bytes
	SM3    string `json:"sm3,omitempty"`    // hex
	Source string `json:"source,omitempty"` // department
	AsOf   string `json:"as_of,omitempty"`  // whose truth it is
	State  string `json:"state,omitempty"`  // of the material, as the check found it
	Note   string `json:"note,omitempty"`   // why there is no file
}

// A fileIndex is index.json.
type fileIndex struct {
	Format   string     `json:"format"`
	Standard string     `json:"standard"`
	Case     string     `json:"case"`
	Matter   string     `json:"matter"`
	Name     string     `json:"matter_name"`
	Hall     string     `json:"hall"`
	Made     string     `json:"made"`   // RFC 3339
	Record   string     `json:"record"` // number of the record of the call
	Items    []fileItem `json:"items"`
}

// fileOf opens the package of the address: its lines and its files.
func (v *visit) fileOf() (keptFile, fileIndex, []packed, error) {
	k, err := kept[keptFile](v, v.r.PathValue("id"))
	if err != nil || k.Pending || k.Refused != nil {
		return k, fileIndex{}, nil, err
	}
	var reply []byte
	for n := range k.Parts {
		part, err := v.console.gate.Kept(v.r.Context(), v.Session, v.partID(k.ID, n))
		if err != nil {
			return k, fileIndex{}, nil, err
		}
		reply = append(reply, part...)
	}
	index, files, err := v.packFile(k, reply)
	return k, index, files, err
}

// packFile puts the package of an answer together.
func (v *visit) packFile(k keptFile, reply []byte) (index fileIndex, files []packed, err error) {
	var a api.Answered[api.CheckAnswer]
	if err := json.Unmarshal(reply, &a); err != nil {
		return index, nil, err
	}
	matter, _ := v.snapshot.Book.Matter(k.Matter)
	index = fileIndex{
		Format: caseFileFormat, Standard: "GB/T 42727-2023", Case: k.Ask.number(), Matter: k.Matter, Name: matter.Name, Hall: v.hall.Name,
		Made: k.Began.In(license.Shanghai()).Format(time.RFC3339), Record: k.number(),
	}
	add := func(item fileItem, name, media string, data []byte) {
		item.No = len(index.Items) + 1
		if data != nil {
			sum := v.console.NewSM3()
			_, _ = sum.Write(data)
			item.File, item.Media, item.Size, item.SM3 = sprint("%02d-%s", item.No, name), media, len(data), hex.EncodeToString(sum.Sum(nil))
			files = append(files, packed{item.File, data})
		}
		index.Items = append(index.Items, item)
	}
	for _, m := range a.Answer.Materials {
		item := fileItem{Title: m.Name, Kind: "none", State: string(m.State), Source: v.snapshot.Departments[v.provider(m.LicenseType)]}
		if !m.AsOf.IsZero() {
			item.AsOf = m.AsOf.In(license.Shanghai()).Format(time.RFC3339)
		}
		switch {
		case m.Document.Content != "":
			data, err := canonical.ParseBase64(m.Document.Content)
			if err != nil {
				return index, nil, err
			}
			item.Kind = "copy"
			add(item, plain(m.Material)+".ofd", m.Document.MediaType, data)
		case m.Filed.File.Content != "":
			data, err := canonical.ParseBase64(m.Filed.File.Content)
			if err != nil {
				return index, nil, err
			}
			item.Kind, item.Source, item.AsOf = "upload", v.snapshot.Departments[m.Filed.Department], m.Filed.FiledOn
			media := string(m.Filed.File.MediaType)
			add(item, plain(m.Material)+extensions[media], media, data)
		default:
			item.Note = v.whyNoFile(m)
			add(item, "", "", nil)
		}
	}
	for _, item := range v.resultsOf(k.Matter, a.Answer.Parts) {
		add(item, "", "", nil)
	}
	add(fileItem{Title: "核验应答（含回执）", Kind: "answer"}, "check.json", "application/json", reply)
	for _, receipt := range k.Earlier {
		add(fileItem{Title: "此前调用的回执", Kind: "receipt"}, "receipt.json", "application/json", receipt)
	}
	text, err := json.Marshal(index, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return index, nil, err
	}
	files = append(files, packed{"index.json", text})
	var sums strings.Builder
	for _, f := range files {
		sum := v.console.NewSM3()
		_, _ = sum.Write(f.data)
		sums.WriteString(hex.EncodeToString(sum.Sum(nil)) + "  " + f.name + "\n")
	}
	return index, append(files, packed{"SM3SUMS", []byte(sums.String())}), nil
}

// resultsOf are the lines of what the case ends with (办理结果). A check obtains what the applicant would hand in, and no result: so the package says who
// keeps it, and that it is not missing.
func (v *visit) resultsOf(matter string, parts []api.CheckedPart) (items []fileItem) {
	codes := []string{matter}
	if len(parts) > 0 {
		codes = nil
		for _, p := range parts {
			codes = append(codes, p.Matter)
		}
	}
	for _, code := range codes {
		m, _ := v.snapshot.Book.Matter(code)
		for _, id := range m.Results {
			t, _ := v.snapshot.Catalogue.Type(id)
			department := v.snapshot.Departments[v.provider(id)]
			items = append(items, fileItem{
				Title: "办理结果：" + cmp.Or(t.Name, id), Kind: "result", Source: department,
				Note: "由" + cmp.Or(department, "颁发部门") + "颁发并归档，不在包内：核验只调取申请材料",
			})
		}
		if len(m.Results) == 0 {
			department := v.snapshot.Departments[m.Department]
			items = append(items, fileItem{
				Title: "办理结果：" + cmp.Or(m.Name, code), Kind: "result", Source: department, Note: "不经网关颁发，由" + cmp.Or(department, "办理部门") + "归档，不在包内",
			})
		}
	}
	return items
}

var extensions = map[string]string{cases.MediaPDF: ".pdf", cases.MediaOFD: ".ofd", cases.MediaJPEG: ".jpg", cases.MediaPNG: ".png"}

var notPlain = regexp.MustCompile(`[^0-9A-Za-z_-]+`)

// plain is a code as a name of a file can have it.
func plain(code string) string { return notPlain.ReplaceAllString(code, "_") }

// whyNoFile says why a line of the index has no file.
func (v *visit) whyNoFile(m api.CheckedMaterial) string {
	switch {
	case m.State == api.MaterialStateCovered && m.Fallback.Deadline != "":
		return "已签承诺书，原件另存"
	case m.State == api.MaterialStateCovered:
		return "扫描件存于业务系统，或已免交"
	case m.State == api.MaterialStateMet:
		return "没有版式文件，数据见核验应答"
	case m.Need == 2:
		return "非必要，未交"
	}
	return "未取得"
}

// zipped is the package: the same bytes of the same files.
func zipped(files []packed, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		out, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store, Modified: at.UTC()})
		if err != nil {
			return nil, err
		}
		if _, err := out.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// packageOf is the package of the address, with the digest of its bytes.
func (v *visit) packageOf() (k keptFile, index fileIndex, data, digest []byte, err error) {
	k, index, files, err := v.fileOf()
	if err == nil && files == nil {
		err = errNotHere
	}
	if err == nil {
		data, err = zipped(files, k.Began)
	}
	if err != nil {
		return k, index, nil, nil, err
	}
	sum := v.console.NewSM3()
	_, _ = sum.Write(data)
	return k, index, data, sum.Sum(nil), nil
}

func (c *Console) caseFilePackage(v *visit) error {
	k, _, data, _, err := v.packageOf()
	if err != nil {
		return err
	}
	v.attach("application/zip", plain(k.Ask.number())+".case-file.zip")
	_, _ = io.Copy(v.w, bytes.NewReader(data))
	return nil
}

func (c *Console) caseFile(v *visit) error { return v.showCaseFile("", "") }

// showCaseFile shows the package, with what is wrong with the form of the hand-over.
func (v *visit) showCaseFile(typed, fault string) error {
	k, index, files, err := v.fileOf()
	if err != nil {
		return err
	}
	p := caseFilePage{ID: k.ID, Of: k.Of, Case: k.Ask.number(), Matter: index.Name, At: k.Began, Number: k.number(), Once: v.once(), Over: k.Over, OverTo: k.Archive}
	p.Archive = newField("archive", "移交给哪里", "例如：市档案馆、本单位档案室", typed, fault, "")
	p.Archive.Focus = fault != ""
	switch {
	case k.Pending:
		p.Pending, p.Lost = true, v.now.Sub(k.Began) > underWay
		p.Sentence = "正在做归档包……"
		if p.Lost {
			p.Sentence = "这次没有做成。"
		}
	case k.Refused != nil:
		p.Sentence, p.Fault, p.Do = "归档包没有做成。", k.Refused.Zh, k.Refused.Advice
		if k.Refused.Code == "case-closed" {
			p.Fault, p.Do = "这个办件已经办结，不能再调取证照。", "归档包要在办结前做；已经做好的，可以接着登记移交。"
		}
	default:
		data, err := zipped(files, k.Began)
		if err != nil {
			return err
		}
		sum := v.console.NewSM3()
		_, _ = sum.Write(data)
		p.Package, p.Items = hexOf(sum.Sum(nil)), index.Items
		materials, files := 0, 0
		for _, item := range index.Items {
			switch item.Kind {
			case "copy", "upload":
				materials, files = materials+1, files+1
			case "none":
				materials++
			}
		}
		p.Sentence = sprint("归档包做好了：%d 份材料，%d 份入卷。", materials, files)
	}
	return v.render(200, "casefile", p)
}

// A caseFileIndexPage is 卷内目录, to print.
type caseFileIndexPage struct {
	caseFilePage
	Hall string
}

func (caseFileIndexPage) title() string { return "卷内目录" }
func (caseFileIndexPage) paper() bool   { return true }

func (c *Console) caseFileIndex(v *visit) error {
	k, index, _, digest, err := v.packageOf()
	if err != nil {
		return err
	}
	return v.render(200, "casefileindex", caseFileIndexPage{
		caseFilePage{ID: k.ID, Of: k.Of, Case: index.Case, Matter: index.Name, At: k.Began, Number: k.number(), Items: index.Items, Package: hexOf(digest), Over: k.Over, OverTo: k.Archive}, index.Hall,
	})
}

// handOver records that the package was handed over.
func (c *Console) handOver(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	k, _, _, digest, err := v.packageOf()
	if err != nil {
		return err
	}
	archive := f.text("archive")
	if archive == "" || len([]rune(archive)) > 64 {
		return v.showCaseFile(archive, "请填写接收的档案馆或档案室，不超过 64 个字。")
	}
	done, err := v.ran(once, counterCase{ID: once, Pending: true, Began: v.now}, func(ctx context.Context) any {
		done := counterCase{ID: once, Began: v.now}
		var answered api.Answered[api.HandOverAnswer]
		q := api.HandOverRequest{Digest: base64.RawURLEncoding.EncodeToString(digest), Archive: archive}
		if v.call(ctx, &done, "o", "cases.handover", map[string]string{"no": k.Ask.number()}, q, &answered) {
			k.Over, k.Archive, k.Later, k.LaterRecorded = answered.Answer.HandedOver.Time, archive, done.Record, true
			if err := v.keep(ctx, k.ID, k); err != nil {
				v.console.Logger.ErrorContext(ctx, "reply was not kept", "error", err.Error())
			}
		}
		return done
	})
	if err != nil {
		return err
	}
	if done.Refused != nil {
		return v.showCaseFile(archive, strings.TrimSpace(done.Refused.Zh+done.Refused.Advice))
	}
	v.redirect("/console/file/" + k.ID)
	return nil
}
