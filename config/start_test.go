package config_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/config"
	"oncegate/install/installtest"
)

// dropSource serves business licenses from a folder that is not there.
const dropSource = `sources:
  - id: market-drop
    department: market
    files:
      dir: drops
      pattern: licenses-*.csv
      max_age: 48h
      encoding: utf-8
      record:
        type: business-license
        number: no
        issuer: {name: {const: 市场监管局}, code: {const: "11379901MB99103773"}}
        issued: {from: issued, layouts: [yyyyMMdd]}
        status: {const: valid}
        holders: {code: code, name: name, type: {const: "001"}}
        fields: {legal_representative: legal}
`

// TestCheckStart: what serve refuses to open is a fault at what it is about.
func TestCheckStart(t *testing.T) {
	t.Parallel()
	sound := installtest.New(t)
	for _, c := range []struct {
		name   string
		change func(c *installtest.City)
		at     string // the file
		reason string // "" where nothing is at fault
	}{
		{"sound", func(*installtest.City) {}, "", ""},
		{"a folder of drops that is not there", func(c *installtest.City) { c.Write("sources/market.yaml", []byte(dropSource)) }, "sources/market.yaml", "drops is not there"},
		{"a secret that is not there", func(c *installtest.City) {
			c.Edit("sources/market.yaml", "dsn: file:market.db?mode=ro", "dsn_secret: {file: market.dsn}")
		}, "sources/market.yaml", "market.dsn is not there"},
		{"a database that was lost", func(c *installtest.City) { os.Remove(filepath.Join(c.Dir, "data/oncegate.db")) }, config.MainFile, "restored from a backup"},
	} {
		t.Run(c.name, func(t *testing.T) {
			city := sound.CopyOf(t)
			c.change(city)
			setup, faults := config.Load(city.Main, time.Now())
			if err := faults.Err(); err != nil {
				t.Fatal(err)
			}
			started := setup.CheckStart(time.Now)
			if c.reason == "" && len(started) > 0 || c.reason != "" && (len(started) != 1 || started[0].Warning ||
				!strings.HasSuffix(filepath.ToSlash(started[0].Place.File), c.at) || started[0].Place.Line == 0 || !strings.Contains(started[0].Reason, c.reason)) {
				t.Errorf("%v; want %q in %s", started, c.reason, c.at)
			}
		})
	}
}

// TestWarnings: check warns of what nobody may use, and of what everybody may read.
func TestWarnings(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	warnings := func() (list []string) {
		_, faults := config.Load(c.Main, time.Now())
		for _, f := range faults.Warnings() {
			list = append(list, f.Reason)
		}
		return list
	}
	has := func(part string) bool {
		return slices.ContainsFunc(warnings(), func(w string) bool { return strings.Contains(w, part) })
	}
	const unused = `no grant names license type "food-permit"`
	if has(unused) || has("everybody on this machine") {
		t.Errorf("an installation as it is made: %v", warnings())
	}
	c.Edit("catalogue.yaml", "types:\n", `types:
  - id: food-permit
    code: 11100000MB0143028R002
    code_confidence: published
    name: 食品经营许可证
    defined_by: {name: 国家市场监督管理总局, code: 11100000MB0143028R, level: "1"}
    holder_category: "2"
    validity_range: 5年
    issuers: [11379901MB99103773]
    fields: [{name: legal_representative, title: 法定代表人, kind: text}]
`)
	c.Write("sources/food.yaml", []byte(strings.NewReplacer("market-drop", "food-drop", "business-license", "food-permit").Replace(dropSource)))
	if !has(unused) {
		t.Errorf("no grant: %v", warnings())
	}
	if runtime.GOOS == "windows" {
		return
	}
	for dir := c.Dir; dir != filepath.Dir(dir); dir = filepath.Dir(dir) { // a test's own folder may be closed to others
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 && os.Chmod(dir, info.Mode()|0o001) != nil {
			t.Skip("the folder of the test cannot be opened to others")
		}
	}
	for _, name := range []string{"keys.passphrase", "data/oncegate.db", "sources/market.db"} {
		path := filepath.Join(c.Dir, name)
		for _, file := range []string{path, filepath.Dir(path)} {
			if err := os.Chmod(file, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if !has("everybody on this machine may read " + name + ": set") {
			t.Errorf("%s is open to all: %v", name, warnings())
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if has("everybody on this machine may read " + name + ": set") {
			t.Errorf("%s is closed: %v", name, warnings())
		}
	}
}
