package node

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/client"
	"oncegate/license"
)

// trust is what the gateway itself believes of what it handed out: its log, its anchors, its callers.
func (s *Setup) trust(now func() time.Time) (client.TrustConfig, error) {
	signer, err := s.Keys.Signer(keystore.Log, "")
	if err != nil {
		return client.TrustConfig{}, err
	}
	ed, err := s.Keys.Ed25519(keystore.Log, "")
	if err != nil {
		return client.TrustConfig{}, err
	}
	vkey, err := lognote.MarshalVKey(s.Log.Origin, publicOf(ed))
	if err != nil {
		return client.TrustConfig{}, err
	}
	t := client.TrustConfig{
		Logs:    []client.Log{{Origin: s.Log.Origin, SM2: signer.Public(), Ed25519: vkey}},
		Anchors: s.Anchors, Gateway: s.Gateway.ID, Witnesses: s.Trust.Witnesses, Known: s.Known, Now: now,
	}
	for _, id := range sortedKeys(s.Callers) {
		for _, kid := range sortedKeys(s.Callers[id].Keys) {
			t.Callers = append(t.Callers, client.Caller{System: id, KeyID: kid, Key: s.Callers[id].Keys[kid].Public})
		}
	}
	for _, d := range s.Trust.Delegations {
		t.Delegations = append(t.Delegations, client.Delegation(d))
	}
	return t, nil
}

// verify answers POST /v1/licenses/verify: the same steps as the command's, from the gateway's own trust.
func verify(t *client.Trust, v api.VerifyRequest) (string, []license.Step, error) {
	var all []client.Artefact
	switch {
	case v.License != "" && v.Answer != nil:
		return "", nil, errors.New("say either license or answer")
	case v.License != "":
		all = append(all, client.Artefact{Name: "license", Data: []byte(v.License)})
	case v.Answer != nil && v.Receipt.Checkpoint == "":
		return "", nil, errors.New("an answer is verified with its receipt")
	case v.Answer != nil:
		data, err := json.Marshal(struct {
			Answer  jsontext.Value `json:"answer"`
			Receipt api.Receipt    `json:"receipt"`
		}{v.Answer, v.Receipt})
		if err != nil {
			return "", nil, err
		}
		all = append(all, client.Artefact{Name: "answer", Data: data})
	case v.Receipt.Checkpoint != "":
		data, err := json.Marshal(v.Receipt)
		if err != nil {
			return "", nil, err
		}
		all = append(all, client.Artefact{Name: "receipt", Data: data})
	default:
		return "", nil, errors.New("say license, answer or receipt")
	}
	done := t.Verify(all...)[0]
	return string(done.Kind), done.Steps, nil
}

// verify verifies with what the configuration believes now.
func (n *Node) verify(_ context.Context, v api.VerifyRequest) (string, []license.Step, error) {
	return verify(n.current.Load().trust, v)
}
