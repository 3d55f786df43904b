package legacy

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"oncegate/license"
)

// police answers for public security (公安局 人口基础信息服务). Its manners: pinyin initials in upper case, days as yyyyMMdd, 200 for
// everything with a code in the body, wrong tokens included.
type police struct {
	token  string
	people map[string]Person
}

func newPolice(token string, people []Person) *police {
	p := &police{token: token, people: make(map[string]Person, len(people))}
	for _, one := range people {
		p.people[one.Code] = one
	}
	return p
}

func (p *police) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/rkxx/ping":
		p.say(w, "000000", "成功", nil)
	case r.URL.Path != "/rkxx/person/query" || r.Method != http.MethodPost:
		p.say(w, "100405", "接口不存在", nil)
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Access-Token")), []byte(p.token)) != 1:
		p.say(w, "100401", "令牌无效", nil)
	default:
		p.query(w, r)
	}
}

func (p *police) query(w http.ResponseWriter, r *http.Request) {
	var q struct {
		AppID     string `json:"appId"`
		Condition struct {
			Code string `json:"gmsfhm"`
		} `json:"cxtj"`
	}
	if err := json.Unmarshal(body(r), &q); err != nil || q.AppID == "" || q.Condition.Code == "" {
		p.say(w, "100400", "参数错误", nil)
		return
	}
	one, ok := p.people[q.Condition.Code]
	if !ok {
		p.say(w, "100404", "查无此人", nil)
		return
	}
	p.say(w, "000000", "成功", map[string]any{"total": 1, "list": []any{cardOf(one)}})
}

func (p *police) say(w http.ResponseWriter, code, message string, data any) {
	text, err := json.Marshal(map[string]any{"rtnCode": code, "rtnMsg": message, "data": data})
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, "application/json;charset=UTF-8", text)
}

// cardOf is a person's card as the service shows it: of twenty years, and from 46 on without end (居民身份证法 art. 5).
func cardOf(p Person) map[string]string {
	compact := func(d license.Date) string { return strings.ReplaceAll(string(d), "-", "") }
	card := map[string]string{
		"GMSFHM": p.Code, "XM": p.Name, "XB": "2", "MZ": "01", "CSRQ": compact(p.Born), "ZZ": p.Address, "QFJG": "云川市公安局示例分局",
		"YXQXQSRQ": "20150309", "YXQXJZRQ": "20350309", "ZJZT": "0",
	}
	if p.Male {
		card["XB"] = "1"
	}
	if year, _ := strconv.Atoi(string(p.Born)[:4]); year <= 1969 {
		card["YXQXJZRQ"] = "长期"
	}
	return card
}
