package audit

import (
	"fmt"

	"oncegate/check"
)

// MaxStateFaults is how many faults a StateCheck keeps; the rest is counted.
const MaxStateFaults = 100

// A StateFault is one thing in the database that is not what its log says. Key is a case number, an identifier or a digest, never a
// personal value.
type StateFault struct {
	Step   string  `json:"step"`             // of which check: one of the Step constants
	Table  string  `json:"table"`            //
	Key    string  `json:"key,omitempty"`    // of the row; "" where the table as a whole is meant
	Log    string  `json:"log,omitempty"`    // origin of the log that Record stands in
	Record *uint64 `json:"record,omitempty"` // the record that the fault is about; nil for none
	What   string  `json:"what"`             // one sentence
}

// String names the fault.
func (f StateFault) String() string {
	text := "table " + f.Table
	if f.Key != "" {
		text += ", " + f.Key
	}
	if f.Record != nil {
		text += fmt.Sprintf(", record %d of %s", *f.Record, f.Log)
	}
	return text + ": " + f.What
}

// A StateCheck is one step of holding the tables against the log, with what it found. The zero value is usable once it has a name.
type StateCheck struct {
	Name    string
	Checked uint64       // rows or records that were looked at
	Faults  []StateFault // at most MaxStateFaults
	Count   int          // how many faults there are in all

	unknown string // why something could not be checked
}

// Fault notes what is wrong.
func (c *StateCheck) Fault(f StateFault) {
	if c.Count++; len(c.Faults) < MaxStateFaults {
		f.Step = c.Name
		c.Faults = append(c.Faults, f)
	}
}

// Unknown notes that something could not be checked, and why. Only the first reason is kept.
func (c *StateCheck) Unknown(why string) {
	if c.unknown == "" {
		c.unknown = why
	}
}

// Step is the verdict of the check: failed with a fault, not checkable where nothing was wrong and something could not be looked at.
func (c *StateCheck) Step() check.Step {
	switch {
	case c.Count > 0:
		return check.Step{Name: c.Name, State: check.Failed, Reason: fmt.Sprintf("%d faults were found", c.Count)}
	case c.unknown != "":
		return check.Step{Name: c.Name, State: check.NotCheckable, Reason: c.unknown}
	}
	return check.Step{Name: c.Name, State: check.OK}
}

// Join takes in what another check found for the same step.
func (c *StateCheck) Join(other StateCheck) {
	c.Checked += other.Checked
	c.Count += other.Count
	c.Faults = append(c.Faults, other.Faults[:min(len(other.Faults), MaxStateFaults-len(c.Faults))]...)
	if other.unknown != "" {
		c.Unknown(other.unknown)
	}
}
