package gateway

import (
	"time"

	"oncegate/api"
)

// A Maintenance is planned maintenance (计划维护) of a source: a time in which nobody may expect it to answer. It explains an outage that the
// gateway has seen for itself, and never says that there is one: a source that answers is asked as always.
type Maintenance struct {
	Source   string    // id
	From, To time.Time // the source is expected back at To
	Why      api.Sentence
}

// Upcoming returns planned maintenance that begins within a time from now, with its department, in the order of the configuration.
func (g *Gateway) Upcoming(within time.Duration) (list []Outage) {
	config, now := g.running.Load(), g.now()
	for _, m := range config.Maintenance {
		s := config.sources[m.Source]
		if s != nil && m.From.After(now) && m.From.Sub(now) <= within {
			list = append(list, Outage{Source: m.Source, Department: s.Department, Since: m.From, Until: m.To, Why: m.Why})
		}
	}
	return list
}

// maintained returns the planned maintenance of a source at a moment.
func (s *Snapshot) maintained(source string, now time.Time) (Maintenance, bool) {
	for _, m := range s.Maintenance {
		if m.Source == source && !now.Before(m.From) && now.Before(m.To) {
			return m, true
		}
	}
	return Maintenance{}, false
}

// expected is when a source that did not answer is expected back; zero where no maintenance of it is planned now.
func (c *call) expected(source string) api.Time {
	if m, ok := c.config.maintained(source, c.now); ok {
		return api.At(m.To)
	}
	return api.Time{}
}
