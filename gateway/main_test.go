package gateway

import (
	"flag"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"oncegate/api"
)

// No call, source or loop outlives its test, and of every operation some real answer was held against the document.
func TestMain(m *testing.M) { goleak.VerifyTestMain(complete{m}) }

// answeredOperations are the operations of which an answer was held against the document, by id.
var answeredOperations sync.Map

type complete struct{ *testing.M }

func (c complete) Run() int {
	code := c.M.Run()
	for _, part := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(part).Value.String() != "" {
			return code
		}
	}
	contract, err := api.NewContract()
	if err != nil {
		panic(err)
	}
	for _, op := range contract.Operations() {
		if _, seen := answeredOperations.Load(op.ID); !seen {
			fmt.Println("no answer of", op.ID, "was held against the document")
			code = 1
		}
	}
	return code
}
