package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/jws"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/seal"
	"oncegate/certs/timestamp"
	"oncegate/install"
	"oncegate/tlog"
	"oncegate/verdict"
)

// file writes DIR/artefacts, all of one run, and verifies every one of them against the others. It returns the number of steps that
// are ok.
func (s *story) file(ctx context.Context, report []byte) (steps int, err error) {
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
		{Name: "issuer.cert.pem", Data: pki.MarshalPEM(chain...)},
		{Name: "ca.cert.pem", Data: append(root, pki.MarshalPEM(chain[1:]...)...)}, // the trust anchor and the intermediates
	}
	for _, name := range []string{install.LogSM2File, install.LogEdFile} {
		data, err := os.ReadFile(s.path("trust", name))
		if err != nil {
			return 0, err
		}
		all = append(all, verdict.Artefact{Name: name, Data: data})
	}
	papers, err := s.documentArtefacts(ctx, presentation)
	if err != nil {
		return 0, err
	}
	all = append(all, papers...)
	if all, err = s.witnessedAll(ctx, all); err != nil {
		return 0, err
	}
	for _, a := range all {
		if err := s.keepFile(a); err != nil {
			return 0, err
		}
	}
	return s.verifyAll(all...)
}

// witnessedAll has the witnesses co-sign the log as it is now, puts the witnessed receipt into every answer, and adds the checkpoint.
func (s *story) witnessedAll(ctx context.Context, all []verdict.Artefact) ([]verdict.Artefact, error) {
	if err := s.node.AskWitnesses(ctx); err != nil {
		return nil, err
	}
	var checkpoint string
	for i, a := range all {
		if a.Name != "report.json" && !strings.HasSuffix(a.Name, "answer.json") {
			continue
		}
		answer, under, err := s.witnessed(ctx, a.Data)
		if err != nil {
			return nil, err
		}
		all[i].Data = answer
		if checkpoint == "" || sizeOf(under) > sizeOf(checkpoint) {
			checkpoint = under
		}
	}
	return append(all, verdict.Artefact{Name: "checkpoint", Data: []byte(checkpoint)}), nil
}

// sizeOf is the size that a checkpoint names.
func sizeOf(checkpoint string) uint64 {
	c, _ := tlog.ParseCheckpoint(checkpoint) // it was verified when it came
	return c.Size
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

// annotatedCopy asks for the food company's license in the document form, for this case.
func (s *scene) annotatedCopy(ctx context.Context) error {
	food, err := s.as("food-approval")
	if err != nil {
		return err
	}
	who := s.city.Population.Cast.FoodShop.Holder()
	a, err := food.Query(ctx, api.QueryRequest{
		LicenseType: "business-license", Holder: api.HolderID{Type: who.Type, Code: who.Code}, Purpose: api.Purpose{Case: s.food.no}, Form: api.DocumentFormOfd,
	})
	if err != nil {
		return err
	}
	if len(a.Answer.Licenses) != 1 {
		return fmt.Errorf("%d licenses were answered", len(a.Answer.Licenses))
	}
	s.food.copied, err = fileOf(a.Answer.Licenses[0].Document)
	if err != nil {
		return err
	}
	steps, err := s.verifyAll(verdict.Artefact{Name: "annotated.ofd", Data: s.food.copied})
	if err != nil {
		return err
	}
	p, err := ofd.Open(context.Background(), bytes.NewReader(s.food.copied), int64(len(s.food.copied)))
	if err != nil {
		return err
	}
	info, isCopy := p.Copy()
	s.claim(isCopy && info.Maker != "" && info.Expires.After(s.began), "同一执照的加注件（OFD）：仅含授权字段，标明由%s提供、用于%s，%s 到期；%d 步成立",
		"the same license as an annotated copy (加注件, OFD): granted fields only, from %s for %s, to be used until %s; %d steps hold",
		info.Maker, info.Reason, info.Expires.Format("2006-01-02"), steps)
	return nil
}

func fileOf(d api.LicenseDocument) ([]byte, error) {
	data, err := base64.RawURLEncoding.DecodeString(d.Content)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	return data, nil
}

// documentArtefacts are the artefacts around the document form: the food company's license as its own department renders it, the
// annotated copy of step 1, the seal, the time stamp of its signature, and the status and revocation lists.
func (s *story) documentArtefacts(ctx context.Context, presentation string) (all []verdict.Artefact, err error) {
	add := func(name string, data []byte, err2 error) {
		if err = errors.Join(err, err2); err == nil {
			all = append(all, verdict.Artefact{Name: name, Data: data})
		}
	}
	add("annotated.ofd", s.food.copied, nil)
	var original []byte
	for _, form := range []api.RenderRequestForm{api.RenderRequestFormOfd, api.RenderRequestFormPdf, api.RenderRequestFormPng} {
		data, answer, err := s.rendered(ctx, form)
		add("license."+string(form), data, err)
		if form == api.RenderRequestFormOfd {
			original = data
		} else { // a picture carries no signature: the answer that released it proves it
			add("license."+string(form)+".answer.json", answer, err)
		}
	}
	if err != nil {
		return nil, err
	}
	esl, stamp, err := sealOf(original)
	if err != nil {
		return nil, err
	}
	add("seal.esl", esl, nil)
	add("timestamp.tsr", stamp, nil)
	list, err := s.statusList(ctx, presentation)
	add("status-list.jwt", list, err)
	revoked, root, err := s.revocationLists(ctx)
	add("crl.pem", revoked, err)
	add("crl-root.pem", root, err)
	return all, err
}

// rendered has the department render the food company's license.
func (s *story) rendered(ctx context.Context, form api.RenderRequestForm) (file, answer []byte, err error) {
	department, err := s.as("samr-licenses")
	if err != nil {
		return nil, nil, err
	}
	who := s.city.Population.Cast.FoodShop.Holder()
	a, err := department.Render(ctx, api.RenderRequest{LicenseType: "business-license", Holder: api.HolderID{Type: who.Type, Code: who.Code}, Form: form})
	if err != nil {
		return nil, nil, err
	}
	file, err = fileOf(a.Answer.Document)
	return file, a.Raw, err
}

// sealOf takes the seal and the time stamp, as a reply (RFC 3161), out of a sealed package.
func sealOf(pkg []byte) (esl, reply []byte, err error) {
	var value []byte
	_, err = ofd.Verify(context.Background(), bytes.NewReader(pkg), int64(len(pkg)), ofd.Judges{
		Seal: func(_ context.Context, found, _ []byte, _ string) (p ofd.Proof) { value = found; return p },
	})
	if err != nil {
		return nil, nil, err
	}
	signature, err := seal.ParseSignature(value)
	if err != nil {
		return nil, nil, err
	}
	if signature.TimeStamp == nil {
		return nil, nil, errors.New("the license was sealed without a time stamp")
	}
	reply, err = tsa.MarshalResponse(timestamp.Response{Token: signature.TimeStamp})
	return signature.Seal.Raw, reply, err
}

// revocationLists has the demo's authority sign its list, and the root above it sign its own.
func (s *story) revocationLists(ctx context.Context) (own, root []byte, err error) {
	ring, err := install.OpenKeystore(s.mainFile(), nil)
	if err != nil {
		return nil, nil, err
	}
	lists, err := ring.Lists(ctx)
	if err != nil {
		return nil, nil, err
	}
	first, rest := pem.Decode(lists)
	second, _ := pem.Decode(rest)
	if first == nil || second == nil {
		return nil, nil, errors.New("the authority's revocation lists are not PEM")
	}
	return pem.EncodeToMemory(first), pem.EncodeToMemory(second), nil
}

// keepFile writes one artefact.
func (s *story) keepFile(a verdict.Artefact) error {
	if err := os.WriteFile(s.path("artefacts", a.Name), a.Data, 0o600); err != nil {
		return fmt.Errorf("write artefact: %w", err)
	}
	return nil
}
