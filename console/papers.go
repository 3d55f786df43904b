package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"oncegate/cases"
	"oncegate/license"
)

// A noticePaper is 一次性告知单: everything that is still to bring, once, on one A4 page.
type noticePaper struct {
	ID, Case, Matter string
	Applicant        string
	Date             license.Date
	Sentence         string
	Got              []string // materials that need not be brought
	Bring            []paperLine
	Later            []paperLine
	Deadline         string
	Told             []string // departments that were asked
	At               time.Time
	Number           string
}

func (noticePaper) title() string    { return "一次性告知单" }
func (p noticePaper) record() string { return p.Number }
func (noticePaper) paper() bool      { return true }

type paperLine struct {
	Name, Why, How string
	Deadline       license.Date
}

// answeredCase is a case of this session that was checked.
func (v *visit) answeredCase() (counterCase, resultPage, error) {
	k, err := v.counterCase(v.r.PathValue("id"))
	if err == nil && k.Answer == nil {
		err = errNotHere
	}
	if err != nil {
		return k, resultPage{}, err
	}
	return k, v.resultOf(k), nil
}

func (c *Console) noticePaper(v *visit) error {
	k, shown, err := v.answeredCase()
	if err != nil {
		return err
	}
	p := noticePaper{
		ID: k.ID, Case: shown.Case, Matter: shown.Matter, Applicant: shown.Applicant, Date: license.DateOf(shown.At), Sentence: shown.Sentence + shown.End, At: shown.At, Number: shown.Number,
	}
	standing := v.standing(k)
	for i, r := range shown.Rows {
		j := standing[i]
		line := paperLine{Name: r.Name, Why: strings.TrimSuffix(r.Word, "，请收材料"), Deadline: j.Fallback.Deadline}
		if r.Part != "" {
			line.Name = r.Part + "：" + r.Name
		}
		switch {
		case j.State.Obtained():
			p.Got = append(p.Got, line.Name)
			if r.Department != "" && !slices.Contains(p.Told, r.Department) {
				p.Told = append(p.Told, r.Department)
			}
		case j.Need == cases.Optional:
			line.How = "可以不交"
			p.Later = append(p.Later, line)
		case j.Done():
			p.Got = append(p.Got, line.Name+"（"+r.Word+"）")
		case j.Covered == cases.HowPromised, j.Fallback.Kind == cases.FallTolerate, j.Fallback.Kind == cases.FallPromise:
			line.How = "签" + cmp.Or(r.Promise, "承诺书") + "先办，到期前补"
			if j.Covered == cases.HowPromised {
				line.How = "已签承诺书，到期前补"
			}
			p.Later = append(p.Later, line)
		default:
			line.How = "交原件，当场扫描后还给您"
			p.Bring = append(p.Bring, line)
		}
	}
	p.Deadline = shown.Deadline
	return v.render(200, "notice", p)
}

// A promisePaper is 容缺承诺书 or 告知承诺书, filled in: it counts when the signed one has been received.
type promisePaper struct {
	ID, Case, Matter string
	Name             string // 容缺承诺书 or 告知承诺书
	Tolerated        bool
	Applicant        string
	Material         string
	Part             string
	Why              string
	Days             int
	Deadline         license.Date
	Date             license.Date
	Department       string // that decides the matter
	At               time.Time
	Number           string
	Link             string // of the form that receives it
}

func (p promisePaper) title() string  { return p.Name }
func (p promisePaper) record() string { return p.Number }
func (promisePaper) paper() bool      { return true }

// applicant is the applicant's whole name, for a paper that the applicant signs; "" where no material released it.
func (k counterCase) applicant(v *visit) string {
	for _, m := range k.Answer.Materials {
		if name := onlyHolder(m.Fields, license.FieldHolderName); name != "" && v.isApplicants(m) {
			return name
		}
	}
	return ""
}

func (c *Console) promisePaper(v *visit) error {
	k, shown, err := v.answeredCase()
	if err != nil {
		return err
	}
	matterCode, code := v.r.PathValue("matter"), v.r.PathValue("material")
	at := slices.IndexFunc(shown.Rows, func(r materialRow) bool { return r.Matter == matterCode && r.Material == code && r.Promise != "" })
	if at < 0 {
		return errNotHere
	}
	r := shown.Rows[at]
	matter, _ := v.snapshot.Book.Matter(matterCode)
	material, _ := matter.Material(code)
	today := license.DateOf(v.now)
	deadline, err := v.snapshot.Calendar.Add(today, material.Fallback.Days)
	if material.Fallback.Kind == cases.FallTolerate {
		deadline = license.Date(k.Answer.Materials[at].Fallback.Deadline)
	}
	if err != nil {
		deadline = ""
	}
	return v.render(200, "promise", promisePaper{
		ID: k.ID, Case: shown.Case, Matter: shown.Matter, Name: r.Promise, Tolerated: material.Fallback.Kind == cases.FallTolerate, Applicant: k.applicant(v), Material: r.Name,
		Part: r.Part, Why: r.Word, Days: material.Fallback.Days, Deadline: deadline, Date: today, Department: v.snapshot.Departments[matter.Department], At: shown.At, Number: shown.Number,
		Link: "/console/window/" + k.ID + "/receive/" + matterCode + "/" + code + "?how=" + cases.HowPromised,
	})
}
