package config

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"oncegate/api"
	"oncegate/fault"
	"oncegate/gateway"
	"oncegate/license"
)

// A Maintenance is planned maintenance (计划维护) of a source, in the file that data.maintenance names, under maintenance. Windows and callers are
// told of it when the source does not answer; a source that answers is asked as always.
type Maintenance struct {
	Source string `yaml:"source"` // id
	From   string `yaml:"from"`   // 2026-12-05 20:00, in China's time
	To     string `yaml:"to"`     // when the source is expected back; after from, by at most 14 days
	Zh     string `yaml:"zh"`     // one sentence that people are told, at most 80 characters, such as 征管系统升级; it names nobody
	En     string `yaml:"en"`     // the same in English; may be missing
}

// Bounds of planned maintenance.
const (
	maxMaintenance = 14 * 24 * time.Hour
	maxPlans       = 1000
	maxWhyZh       = 80  // characters
	maxWhyEn       = 200 // characters
	planLayout     = "2006-01-02 15:04"
)

// maintenance reads the planned maintenance of sources.
func (l *loader) maintenance() {
	if l.setup.Data.Maintenance == "" {
		return
	}
	var file struct {
		Maintenance []Maintenance `yaml:"maintenance"`
	}
	doc := l.readNamed("$.data.maintenance", l.setup.Data.Maintenance, &file)
	if doc == nil {
		return
	}
	if len(file.Maintenance) > maxPlans {
		doc.Add("$.maintenance", "at most %d entries: take out what has passed", maxPlans)
		return
	}
	for i, m := range file.Maintenance {
		at := fmt.Sprintf("$.maintenance[%d]", i)
		if !slices.ContainsFunc(l.setup.Sources, func(s Source) bool { return s.ID == m.Source }) {
			doc.Add(at+".source", "there is no source %q", fault.Clip(m.Source))
		}
		if n := utf8.RuneCountInString(m.Zh); n == 0 || n > maxWhyZh {
			doc.Add(at+".zh", "one sentence for people is required, of at most %d characters", maxWhyZh)
		}
		if utf8.RuneCountInString(m.En) > maxWhyEn {
			doc.Add(at+".en", "one sentence for people, of at most %d characters", maxWhyEn)
		}
		from, wrong := time.ParseInLocation(planLayout, m.From, license.Shanghai())
		if wrong != nil {
			doc.Add(at+".from", "%q is no time; write it like 2026-12-05 20:00", fault.Clip(m.From))
		}
		to, err := time.ParseInLocation(planLayout, m.To, license.Shanghai())
		if err != nil {
			doc.Add(at+".to", "%q is no time; write it like 2026-12-05 20:00", fault.Clip(m.To))
		}
		if wrong != nil || err != nil {
			continue
		}
		if length := to.Sub(from); length <= 0 || length > maxMaintenance {
			doc.Add(at+".to", "maintenance ends after it begins, by at most %d days", int(maxMaintenance/(24*time.Hour)))
			continue
		}
		if slices.ContainsFunc(l.setup.Maintenance, func(o gateway.Maintenance) bool {
			return o.Source == m.Source && from.Before(o.To) && o.From.Before(to)
		}) {
			doc.Add(at+".from", "another maintenance of source %s is planned for the same time", fault.Clip(m.Source))
			continue
		}
		l.setup.Maintenance = append(l.setup.Maintenance, gateway.Maintenance{Source: m.Source, From: from, To: to, Why: api.Sentence{Zh: m.Zh, En: m.En}})
	}
}
