package node

import (
	"strings"
	"testing"

	"oncegate/install/installtest"
	"oncegate/verdict"
)

// TestRestart follows one license from an empty folder through a restart: made, served, asked for, verified, and verified
// still when the node comes back.
func TestRestart(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	first := c.serve()
	first.register("SP-1")
	answer, err := first.as("food-approval").Query(t.Context(), question("SP-1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Answer.Licenses) != 1 {
		t.Fatalf("got %d licenses", len(answer.Answer.Licenses))
	}
	got := answer.Answer.Licenses[0]
	if got.Version != 1 || got.Fields["name"] != "营业执照" || got.Fields["legal_representative"] != "甲乙" || len(got.Fields) != 2 {
		t.Fatalf("released %+v", got)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(first.logs.String(), installtest.Company) || strings.Contains(first.logs.String(), "甲乙") {
		t.Fatal("the log names a person or enterprise")
	}

	second := c.serve()
	again, err := second.as("food-approval").Query(t.Context(), question("SP-1"))
	if err != nil {
		t.Fatal(err)
	}
	if again.Answer.Licenses[0].Identifier != got.Identifier || again.Answer.Licenses[0].License != got.License {
		t.Fatal("the license was signed again after the restart")
	}
	trust := second.trusted()
	for _, raw := range [][]byte{answer.Raw, again.Raw, []byte(got.License)} {
		if v := trust.Verify(verdict.Artefact{Name: "a", Data: raw})[0]; v.Err() != nil {
			t.Errorf("%s: %v", v.Kind, v.Err())
		}
	}
}
