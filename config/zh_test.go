package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oncegate/language"
	"oncegate/language/languagetest"
)

// faultSources are the files whose texts become faults of a configuration: of these rooms every call that reports a fault, and every
// error of the files that are named, "*" for all of them.
var faultSources = map[string]string{
	"config": "*", "install": "", "node": "listen tables", "license": "faults", "cases": "faults calendar",
	"policy": "compile guard load set table", "register": "", "fault": "",
	"adapters/files": "config", "adapters/mapping": "check", "adapters/rest": "check template", "adapters/secret": "*",
	"adapters/sqldb":  "config engine mysql oracle postgres scanner sqlserver statement",
	"console/session": "accounts", "console/barcode": "",
	"audit": "quorum", "witness": "settings",
	"sheet": "check checkitem color faces load pathdata pattern", "strictyaml": "decode strictyaml value",
}

// reporting are the functions that report a fault, and which of their arguments is the format.
var reporting = map[string]int{"Add": 1, "AddAt": 1, "Warn": 1, "Unless": 2, "unless": 2, "warn": 1}

// keptWords are keys and values of configuration files, which stand in Chinese texts as they are.
var keptWords = strings.Fields(`chmod origin witness witnesses members organization key quorum repeat layouts route oncegate license init default data codes upload sqlite promise http values tolerate text size
	shapes postgres permit path now from forbid fallback box bases allow yyyy-mm-dd yml years yaml with waves valign valid unlimited ulimit type
	turn true tls title tests systems suspensions suspended superseded styles sqldb song signed shares shape settle select secret seal rosette
	revoked rest rect qr pgx permissions page original optional only ok money mode missing line items https holder hei grants gbk grants frame
	form files file field false expired esl equals dsn drop date copy const consent check cedar case capital business-license body blank alpha
	console account add holder url issuer exchange Connect OpenID scopes state level json signature sign
	align age Cedar utf null keys csr audit adopt session call operations holders trust asserted
	transaction plain Server encrypt day ca mysql sslrootcert certificate sqlserver oracle absent Oracle current number is first last sslmode format csv xlsx`)

// unfaulty are texts of these files that are no faults of a configuration.
var unfaulty = []string{
	"read the guards' schema: %v", "resolve the guards' schema: %v", // the program's own schema
	"look up working day: %v", "look up working day in %v: %v", "count working days: the number is negative", "count working days: %v", // cases, at work
	"connections", "key", "error", "at", // keys of log lines in node
	"load TLS certificate: %v", "listen: %v", "make seal of %v: %v", "adopt tables: %v",
	"what the tables add up to cannot be read: it was sealed under an envelope key that the keystore lacks; either the database was tampered with (operations, section 5), or %v; %v", // starting a node
}

// Both languages stay together: what check says of a configuration in English it says in Chinese.
func TestEveryFaultHasItsChinese(t *testing.T) {
	catalogue := language.New(Messages()...)
	missing, found := make(map[string]string), 0
	for dir, named := range faultSources {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no sources, %v", dir, err)
		}
		for _, file := range files {
			base := strings.TrimSuffix(filepath.Base(file), ".go")
			if strings.HasSuffix(base, "_test") {
				continue
			}
			formats := languagetest.Formats(t, file, reporting)
			if named == "*" || slices.Contains(strings.Fields(named), base) {
				formats = append(formats, languagetest.Formats(t, file, map[string]int{"New": 0, "Errorf": 0})...)
			}
			for _, f := range formats {
				found++
				if !slices.Contains(unfaulty, f.Text) && !languagetest.Translated(catalogue, f.Text, keptWords...) {
					missing[f.Text] = f.At
				}
			}
		}
	}
	if found < 250 {
		t.Errorf("only %d texts were found", found)
	}
	languagetest.Report(t, missing, "Give each one in config/zh.go; or, if no reader of faults sees it, name it in unfaulty")
}

func TestChineseFaults(t *testing.T) { languagetest.Check(t, faultMessages, keptWords...) }
