package legacy

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"

	"oncegate/license"
)

// civil answers for civil affairs (民政局 婚姻登记系统). Its manners: form requests, camelCase, words for codes, milliseconds for days,
// HTTP statuses that mean something, and a content type of its own.
type civil struct {
	code      string // its AppCode
	marriages []Marriage
}

func (c *civil) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("AppCode "+c.code)) != 1:
		c.say(w, http.StatusUnauthorized, map[string]any{"error": "bad_appcode"})
	case r.URL.Path != "/api/v2/marriages/find":
		c.say(w, http.StatusNotFound, map[string]any{"error": "no_such_path"})
	case r.Method != http.MethodPost:
		c.say(w, http.StatusMethodNotAllowed, map[string]any{"error": "post_only"})
	default:
		c.find(w, r)
	}
}

func (c *civil) find(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("idNo") == "" {
		c.say(w, http.StatusBadRequest, map[string]any{"error": "id_missing"})
		return
	}
	var items []any
	for _, m := range c.marriages {
		mine := func(p Person) bool { return p.Code == r.PostForm.Get("idNo") }
		if r.PostForm.Get("idKind") == "ID_CARD" && slices.ContainsFunc(m.Partners[:], mine) {
			items = append(items, certificateOf(m))
		}
	}
	if items == nil {
		c.say(w, http.StatusNotFound, map[string]any{"error": "no_record", "message": "未查到婚姻登记记录"})
		return
	}
	c.say(w, http.StatusOK, map[string]any{"items": items})
}

func (c *civil) say(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	answer(w, status, "text/json", text)
}

func certificateOf(m Marriage) any {
	parties := []map[string]string{}
	for _, p := range m.Partners {
		gender := "F"
		if p.Male {
			gender = "M"
		}
		parties = append(parties, map[string]string{"name": p.Name, "idKind": "ID_CARD", "idNo": p.Code, "gender": gender})
	}
	state := "REGISTERED"
	if m.Divorced {
		state = "DIVORCED"
	}
	day, _ := m.On.Start()
	return map[string]any{"certNo": m.Number, "office": "云川市民政局婚姻登记处", "registeredAt": day.In(license.Shanghai()).UnixMilli(), "state": state, "parties": parties}
}
