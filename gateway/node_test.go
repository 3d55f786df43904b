package gateway

import (
	"testing"

	"oncegate/api"
)

// How the node is, is for those who run it, by a right of its own. It tells of no license, and a look is one record.
func TestNodeStatus(t *testing.T) {
	w := newWorld(t)
	for _, system := range []string{"acceptance", "food-approval", "audit-office", "citizen-portal"} {
		w.refused(w.call(system, "GET", "/v1/node", nil), "not-permitted")
	}
	w.rules("node.yaml", "permissions:\n  - {id: acceptance/node, systems: [acceptance], operations: [node.status], basis: 测试}\n")
	a := w.call("acceptance", "GET", "/v1/node", nil)
	if got := read[api.NodeAnswer](t, a); !got.Node.Ready || got.Log.Origin != origin || got.Mark.Agrees != api.NodeMarkAgreesYes {
		t.Errorf("%+v", got)
	}
	if a.record.Operation != "node.status" || len(a.record.Uses) != 0 {
		t.Errorf("recorded %+v", a.record)
	}
}
