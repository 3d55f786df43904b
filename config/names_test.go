package config

import (
	"strings"
	"testing"
	"time"
)

// Grants are read aloud with the names that the configuration has, in the reader's language, and ids in brackets.
func TestNames(t *testing.T) {
	setup, faults := Load("../deploy/city/oncegate.yaml", time.Now())
	if setup.Policy == nil {
		t.Fatal(faults)
	}
	for lang, want := range map[string][]string{
		"zh": {"市场监督管理局（samr）", "（food-approval）", "（YC-FOOD-01）", "营业执照（business-license）", "法定代表人（legal_representative）"},
		"en": {" (samr)", " (food-approval)", " (YC-FOOD-01)", "usiness license (business-license)", " (legal_representative)"},
	} {
		names := setup.Names(lang == "zh")
		for _, g := range setup.Policy.Grants() {
			if g.ID != "food/business-license" {
				continue
			}
			said := g.Sentence(lang, names)
			for _, text := range want {
				if !strings.Contains(said, text) {
					t.Errorf("%s has no %q: %s", lang, text, said)
				}
			}
			t.Log(said)
			want = nil
		}
		if want != nil {
			t.Error("the city has no grant food/business-license")
		}
		if names.System("nobody") != "" || names.Matter("nothing") != "" || names.Field("business-license", "nothing") != "" || names.LicenseType("nothing") != "" {
			t.Error("what is not there has a name")
		}
	}
}
