package client

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/sm"
)

// A picture shows a license and carries no signature. It is one of these forms by its first bytes.
var pictures = []struct{ form, begin string }{{"pdf", "%PDF-"}, {"png", "\x89PNG\r\n"}, {"svg", "<svg "}}

// isPicture tells whether an artefact is a PDF, PNG or SVG.
func isPicture(data []byte) bool { return pictureForm(data) != "" }

// pictureForm is the form of a picture as answers name it; "" for what is none.
func pictureForm(data []byte) string {
	for _, p := range pictures {
		if bytes.HasPrefix(data, []byte(p.begin)) {
			return p.form
		}
	}
	if bytes.HasPrefix(data, []byte("<?xml ")) && bytes.Contains(data[:min(len(data), 256)], []byte("<svg ")) {
		return "svg"
	}
	return ""
}

// picture looks for the answer that released a picture: nothing else proves it. Where answers released pictures of this form, and
// this is none of them, it is refuted: it was changed, or is of another answer.
func (s *batch) picture(data []byte) (done steps) {
	const name = "picture-released"
	form, others := pictureForm(data), 0
	for _, d := range s.answers {
		for _, document := range d.documents() {
			switch {
			case document.SM3 == sm.DigestB64(data):
				done.ok(name, "an answer among the files, whose receipt holds, released it")
				return done
			case string(document.Form) == form:
				others++
			}
		}
	}
	if others > 0 {
		done.fail(name, fmt.Sprintf("answers among the files released other %s files than this one: it was changed, or is of another answer", form))
		return done
	}
	done.unknown(name, "a picture carries no signature, and no answer that released it is among the files")
	return done
}

// documents are the files that an answer released.
func (d *answered) documents() (list []api.LicenseDocument) {
	var a struct {
		Document api.LicenseDocument `json:"document"`
		Licenses []struct {
			Document api.LicenseDocument `json:"document"`
		} `json:"licenses"`
		Materials []struct {
			Document api.LicenseDocument `json:"document"`
		} `json:"materials"`
	}
	if json.Unmarshal(d.answer, &a) != nil {
		return nil
	}
	if a.Document.Form != "" {
		list = append(list, a.Document)
	}
	for _, l := range a.Licenses {
		list = append(list, l.Document)
	}
	for _, m := range a.Materials {
		list = append(list, m.Document)
	}
	return list
}
