package sheet

import "testing"

func TestChineseDate(t *testing.T) {
	for in, want := range map[string]string{"2026-11-23": "2026年11月23日", "2026-01-05": "2026年1月5日", "长期": "长期", "2026": "2026", "": ""} {
		if got := chineseDate(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The examples follow the rules for cheques (支付结算办法, 正确填写票据和结算凭证的基本规定).
func TestCapital(t *testing.T) {
	for in, want := range map[string]string{
		"1409.50": "壹仟肆佰零玖元伍角整", "6007.14": "陆仟零柒元壹角肆分", "107000.53": "壹拾万零柒仟元伍角叁分", "16409.02": "壹万陆仟肆佰零玖元零贰分",
		"325.04": "叁佰贰拾伍元零肆分", "5000000": "伍佰万元整", "0": "零元整", "0.00": "零元整", "0.05": "伍分", "0.50": "伍角整", "10": "壹拾元整",
		"100000000": "壹亿元整", "100010000": "壹亿零壹万元整", "1000000001": "壹拾亿零壹元整", "-3": "负叁元整", "20000000.1": "贰仟万元壹角整",
		"五百万": "五百万", "1e6": "1e6", "1.234": "1.234", "9999999999999": "9999999999999",
	} {
		if got := capital(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestMoney(t *testing.T) {
	for in, want := range map[string]string{"38520.05": "￥38,520.05", "5000000": "￥5,000,000.00", "0.5": "￥0.50", "999": "￥999.00", "-1000": "￥-1,000.00", "abc": "abc"} {
		if got := grouped(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPieces(t *testing.T) {
	if list, err := pieces("自 {valid_from:date} 至 {valid_to:date}"); err != nil || len(list) != 4 || list[1] != (piece{path: "valid_from", format: "date"}) {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", "名称", "{", "{A}", "{a} }", "{a:}", "{{a}}"} {
		if list, err := pieces(bad); err == nil {
			t.Errorf("%q is read as %v", bad, list)
		}
	}
}
