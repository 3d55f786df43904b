package node

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/store"
)

// A worked city has a case, a closed case and a license on record, and its node is stopped.
func workedCity(t *testing.T) *city {
	t.Helper()
	c := newCity(t)
	s := c.serve()
	for _, no := range []string{"SP20261130001", "SP20261130002"} {
		s.register(no)
	}
	if _, err := s.as("food-approval").Query(t.Context(), question("SP20261130001")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.as("acceptance").CloseCase(t.Context(), "SP20261130002"); err != nil {
		t.Fatal(err)
	}
	s.stop()
	return c
}

// alter runs statements in the node's database, as somebody without its keys would.
func (c *city) alter(statements ...string) {
	c.T.Helper()
	for _, text := range statements {
		if err := installtest.Exec(filepath.Join(c.Dir, "data", "oncegate.db"), text); err != nil {
			c.T.Fatal(err)
		}
	}
}

// TestAlteredTablesAtStart: a node does not serve on tables that somebody without its keys altered.
func TestAlteredTablesAtStart(t *testing.T) {
	t.Parallel()
	template := workedCity(t)
	for name, text := range map[string]string{
		"attested otherwise": "UPDATE cases SET attestation = 'holder' WHERE no = 'SP20261130001'",
		"reopened":           "UPDATE cases SET closed = 0, revision = 1 WHERE no = 'SP20261130002'",
		"case gone":          "DELETE FROM cases WHERE no = 'SP20261130002'",
		"version gone":       "DELETE FROM versions",
		"list gone":          "DELETE FROM status_lists",
		"policy emptied":     "UPDATE policy_sets SET files = x'5b5d'",
		"policy gone":        "DELETE FROM policy_sets",
		"other sums":         "UPDATE logs SET sums = x'01'",
		"older sums":         "UPDATE logs SET sums = (SELECT mac FROM cases LIMIT 1)",
		"no tags":            "UPDATE cases SET mac = NULL",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := template.copyOf(t)
			c.T = t
			c.alter(text)
			n, err := Open(t.Context(), c.Main, Options{})
			if err == nil {
				n.Close()
			}
			if !errors.Is(err, store.ErrAltered) {
				t.Error(err)
			}
		})
	}
}

// TestTablesAreAdoptedOnce: who takes tags and sums away does not get the rows trusted anew.
func TestTablesAreAdoptedOnce(t *testing.T) {
	t.Parallel()
	c := workedCity(t)
	if _, err := install.Adopt(t.Context(), c.Main, install.AdoptOptions{}); err == nil {
		t.Error("adopted twice")
	}
	c.alter("UPDATE logs SET sums = NULL", "UPDATE cases SET mac = NULL, attestation = 'platform'", "UPDATE records SET mac = NULL", "UPDATE versions SET mac = NULL")
	if n, err := Open(t.Context(), c.Main, Options{}); err == nil || !strings.Contains(err.Error(), "tampered") {
		if err == nil {
			n.Close()
		}
		t.Error("served without tags:", err)
	}
	if _, err := install.Adopt(t.Context(), c.Main, install.AdoptOptions{}); err == nil || !strings.Contains(err.Error(), "tampered") {
		t.Error("adopted anew:", err)
	}
}

// TestAlteredRowIsRefused: what a running node meets that is not its own is refused, counted and told to the operator, and the next check
// of all rows takes the node out of service.
func TestAlteredRowIsRefused(t *testing.T) {
	t.Parallel()
	c := workedCity(t)
	s := c.serve()
	c.alter("UPDATE cases SET attestation = 'holder' WHERE no = 'SP20261130001'")
	_, err := s.as("food-approval").Query(t.Context(), question("SP20261130001"))
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != http.StatusInternalServerError {
		t.Errorf("a call about an altered case: %v", err)
	}
	if _, metrics := s.get("/metrics"); !strings.Contains(metrics, "oncegate_database_alterations_total 1") {
		t.Error("nobody counts it")
	}
	if err := s.db.Check(t.Context(), nil); !errors.Is(err, store.ErrAltered) {
		t.Error(err)
	}
	if status, text := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "tables are not those") {
		t.Errorf("%d %s", status, text)
	}
	if _, err := s.as("acceptance").RegisterCase(t.Context(), api.CaseRequest{}); err == nil {
		t.Error("a call was answered")
	}
	if !strings.Contains(s.logs.String(), "the database was altered") {
		t.Error("the operator is not told")
	}
}

// TestRecoveryDoesNotAdopt: who takes tags and sums away before a log is recovered does not get the rows trusted, unless the operator
// says that the backup is of before there were any; then the record says how many they are.
func TestRecoveryDoesNotAdopt(t *testing.T) {
	t.Parallel()
	c := workedCity(t)
	setup, _ := config.Load(c.Main, time.Now())
	c.Edit(config.MainFile, setup.Log.Origin, setup.Log.Origin+"-2")
	c.alter("UPDATE logs SET sums = NULL", "UPDATE cases SET mac = NULL, closed = 0")
	if _, err := install.Recover(t.Context(), c.Main, install.RecoverOptions{}); !errors.Is(err, store.ErrNotAdopted) {
		t.Fatal("recovered without sums:", err)
	}
	if _, err := install.Adopt(t.Context(), c.Main, install.AdoptOptions{}); err == nil {
		t.Fatal("adopted a log that has not begun")
	}
	c.alter("UPDATE versions SET mac = NULL", "UPDATE status_lists SET mac = NULL", "UPDATE policy_sets SET mac = NULL", "UPDATE records SET mac = NULL",
		"UPDATE claims SET mac = NULL", "UPDATE snapshots SET mac = NULL", "UPDATE originals SET mac = NULL", "UPDATE horizon SET mac = NULL")
	if _, err := install.Recover(t.Context(), c.Main, install.RecoverOptions{Adopt: true}); err != nil {
		t.Fatal(err)
	}
	s := c.serve()
	page, err := s.auditor.Search(t.Context(), audit.Ask{Operation: install.OperationRecover})
	if err != nil || len(page.Found) != 1 || page.Found[0].Record.Changes == "" {
		t.Errorf("the record of the recovery does not state what was adopted: %+v, %v", page, err)
	}
}
