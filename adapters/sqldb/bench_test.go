package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"oncegate/deploy"
	"oncegate/license"
)

const businessRegister = `create table t_scztxx (
	ztid integer primary key, tyshxydm text not null unique, zzbh text not null, qymc text not null, qylx_dm text not null, fddbr text not null,
	fddbr_zjhm text not null, zczb_wy real, zs text, jyfw text, clrq text not null, fzrq text not null, yxq_z text not null, zt_dm text not null
)`

// BenchmarkFind asks the sample city's business register, as the sample city does: a file of 2,000 companies, one question a call,
// under a deadline.
func BenchmarkFind(b *testing.B) {
	src, companies := register(b, 2000)
	b.ReportAllocs()
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	n := 0
	for b.Loop() {
		n++
		findings, err := src.Find(ctx, license.Request{Questions: []license.Question{{Type: "business-license", Holder: license.HolderID{Type: "001", Code: companies[n%len(companies)]}}}})
		if err != nil || findings[0].State != license.IsFound || len(findings[0].Records[0].Flags) > 0 {
			b.Fatal(findings, err)
		}
	}
}

// register opens the sample city's source of business licenses, over a file of made-up companies.
func register(t testing.TB, companies int) (*Source, []string) {
	t.Helper()
	var file struct {
		Sources []struct {
			SQL Config `yaml:"sqldb"`
		} `yaml:"sources"`
	}
	var catalogue license.Catalogue
	for name, into := range map[string]any{"sources/market.yaml": &file, "catalogue.yaml": &catalogue} {
		data, err := fs.ReadFile(deploy.City(), name)
		if err == nil {
			err = yaml.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(name, err)
		}
	}
	path := "file:" + filepath.Join(t.TempDir(), "market.db")
	cfg := file.Sources[0].SQL
	cfg.ID, cfg.DSN = "market", path+"?mode=ro"
	codes := fillRegister(t, path, companies)
	src, err := Open(cfg, &catalogue, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src, codes
}

// fillRegister makes companies whose codes are right and nobody's, and returns their codes.
func fillRegister(t testing.TB, path string, companies int) (codes []string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(businessRegister); err != nil {
		t.Fatal(err)
	}
	for i := range companies {
		code := companyCode(t, i)
		person, err := license.MakeResidentID(fmt.Sprintf("379901%04d%02d%02d%03d", 1960+i%40, 1+i%12, 1+i%28, i%998+1))
		if err != nil {
			t.Fatal(err)
		}
		founded := fmt.Sprintf("20%02d%02d%02d", 10+i%14, 1+i%12, 1+i%28)
		_, err = tx.Exec(`insert into t_scztxx values (?, ?, ?, ?, '1130', ?, ?, ?, ?, ?, ?, ?, '99991231', '1')`,
			i+1, code, fmt.Sprintf("379901%05d(1-1)", i+1), fmt.Sprintf("云川示例春禾食品第%d有限公司", i+1), "甲子丑", person,
			float64(10+i%490), fmt.Sprintf("云川市示例区春风路%d号", i+1), "食品销售；餐饮服务", founded, founded)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return codes
}

func companyCode(t testing.TB, n int) string {
	t.Helper()
	for _, check := range "0123456789X" {
		code, err := license.MakeUSCC(fmt.Sprintf("91379901MA9%05d%c", 30000+n, check))
		if err == nil && license.CheckInnerCode(code) == nil {
			return code
		}
	}
	t.Fatal("every organisation code has a check character")
	return ""
}
