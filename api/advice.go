package api

import (
	_ "embed"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed advice.yaml
var adviceFile []byte

// adviceTable is what to do about each reason, parsed once. A test ensures that it cannot fail.
var adviceTable = sync.OnceValue(func() map[string]Sentence {
	var table map[string]Sentence
	if err := yaml.UnmarshalWithOptions(adviceFile, &table, yaml.Strict()); err != nil {
		panic(err)
	}
	return table
})

// AdviceOn says what to do about a reason by its code. A code that the table does not have, such as one of a newer gateway, gives false.
// What to do about a problem stands in the problem itself ([Kind]).
func AdviceOn(reason string) (Sentence, bool) {
	s, ok := adviceTable()[reason]
	return s, ok
}
