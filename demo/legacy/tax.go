package legacy

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"oncegate/license"
)

// Tax is the nightly export of the tax bureau (税务局): a CSV file in GB18030 that states every certificate, and a marker that says the
// file is complete.
type Tax struct {
	dir      string
	payments []Payment
}

var taxHeader = []string{"完税凭证号", "证件类型", "纳税人识别号", "纳税人名称", "征收项目代码", "实缴金额", "课税对象", "入库日期", "有效期止", "状态"}

func newTax(dir string, payments []Payment) (*Tax, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("make folder of drops: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of drops: %w", err)
	}
	return &Tax{dir, payments}, nil
}

// Export writes a drop with the state at a time. An old time simulates an export that has not run since.
func (t *Tax) Export(at time.Time) error {
	text, err := simplifiedchinese.GB18030.NewEncoder().Bytes(t.table(at))
	if err != nil {
		return fmt.Errorf("export tax certificates: %w", err)
	}
	name := filepath.Join(t.dir, "wszm_"+at.In(license.Shanghai()).Format("20060102150405")+".csv")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return fmt.Errorf("export tax certificates: %w", err)
	}
	if err := os.WriteFile(name+".ok", nil, 0o600); err != nil {
		return fmt.Errorf("export tax certificates: %w", err)
	}
	return nil
}

func (t *Tax) table(at time.Time) []byte {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	w.UseCRLF = true
	_ = w.Write(taxHeader) // into memory: cannot fail
	for _, p := range t.payments {
		paid := at.In(license.Shanghai()).AddDate(0, 0, -p.Ago)
		kind, state := "201", "Y"
		if p.Payer.Type == "001" {
			kind = "101"
		}
		if p.Void {
			state = "N"
		}
		_ = w.Write([]string{p.Number, kind, p.Payer.Code, p.Payer.Name, p.Kind, p.Amount, p.Object, paid.Format("20060102"), paid.AddDate(1, 0, 0).Format("20060102"), state})
	}
	w.Flush()
	return text.Bytes()
}
