package sqldb

import (
	"errors"
	"testing"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/mapping"
	"oncegate/license"
)

// A sample is of holders whom the source itself lists, in its own codes, and asking about them answers.
func TestSample(t *testing.T) {
	_, dsn := sqliteFile(t)
	cfg := config("sqlite", dsn)
	sample := func(statement string, n int) ([]license.HolderID, error) {
		t.Helper()
		cfg.Queries[0].Holders = statement
		src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		list, err := src.Sample(t.Context(), adaptertest.Type, n)
		for _, h := range list {
			f, err := src.Find(t.Context(), license.Request{Questions: []license.Question{{Type: adaptertest.Type, Holder: h}}})
			if err != nil || f[0].State == license.IsNotFound {
				t.Errorf("the source knows nothing of whom it lists: %+v, %v", f, err)
			}
		}
		return list, err
	}
	if list, err := sample("select id_no, id_type from estate order by pos", 3); err != nil || len(list) != 3 {
		t.Errorf("%d of 3, %v", len(list), err)
	}
	if list, err := sample("select id_no, id_type from estate where id_no = '"+adaptertest.Person(0).Code+"'", 3); err != nil || len(list) != 1 || list[0] != adaptertest.Person(0).HolderID {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := sample("select id_no, id_type from estate where 1 = 0", 3); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	for statement, cause := range map[string]license.Cause{
		"select id_no, 'Q' from estate": license.UnlistedCode, "select id_no, id_type, owner from estate": license.BadAnswer, "select id_no from qy": license.NoTable,
	} {
		if _, err := sample(statement, 3); license.CauseOf(err) != cause {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if _, err := sample("", 3); !errors.Is(err, mapping.ErrNoSample) {
		t.Errorf("none configured: %v", err)
	}
	cfg.Queries[0].Holders = "select id_no from estate where id_no = :holder_code"
	if faults := cfg.Check(adaptertest.Catalogue()); len(faults) != 1 || faults[0].Path != "$.queries[0].holders" {
		t.Errorf("%v", faults)
	}
}
