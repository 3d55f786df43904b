package demo

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/install"
	"oncegate/verdict"
)

// file writes DIR/artefacts, all of one run, and verifies every one of them against the others. It returns how many steps
// held.
func (s *story) file(ctx context.Context, auditor caller, report []byte) (held int, err error) {
	checkpoint, err := auditor.Public(ctx, "log.checkpoint", nil)
	if err != nil {
		return 0, err
	}
	presentation, err := businessLicense(s.food.raw)
	if err != nil {
		return 0, err
	}
	chain, err := chainOf(presentation)
	if err != nil {
		return 0, err
	}
	root, err := os.ReadFile(s.path("trust", install.AnchorFile))
	if err != nil {
		return 0, err
	}
	all := []verdict.Artefact{
		{Name: "license.sdjwt", Data: []byte(presentation + "\n")},
		{Name: "answer.json", Data: s.food.raw},
		{Name: "request.jwt", Data: []byte(s.food.token)},
		{Name: "request.body", Data: s.food.body},
		{Name: "report.json", Data: report},
		{Name: "checkpoint", Data: checkpoint},
		{Name: "issuer.cert.pem", Data: pki.MarshalPEM(chain...)},
		{Name: "ca.cert.pem", Data: append(root, pki.MarshalPEM(chain[1:]...)...)}, // the anchor, and what stands between it and the issuer
	}
	for _, name := range []string{install.LogSM2File, install.LogEdFile} {
		data, err := os.ReadFile(s.path("trust", name))
		if err != nil {
			return 0, err
		}
		all = append(all, verdict.Artefact{Name: name, Data: data})
	}
	papers, err := s.papers(ctx, presentation)
	if err != nil {
		return 0, err
	}
	all = append(all, papers...)
	for _, a := range all {
		if err := s.keepFile(a); err != nil {
			return 0, err
		}
	}
	return s.proven(all...)
}

// businessLicense takes the license out of an answer.
func businessLicense(raw []byte) (string, error) {
	var envelope struct {
		Answer api.CheckAnswer `json:"answer"`
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return "", err
	}
	if l := find(envelope.Answer, "business-license").License; l != "" {
		return l, nil
	}
	return "", errors.New("the answer has no business license")
}

// chainOf returns the certificates in a license, the issuer's first.
func chainOf(presentation string) ([]*pki.Certificate, error) {
	compact, _, _ := strings.Cut(presentation, "~")
	parts, err := jws.Split(compact, sdjwt.MaxSize)
	if err != nil {
		return nil, err
	}
	return pki.ParseChain(parts.Header.X5C)
}
