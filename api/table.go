package api

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/goccy/go-yaml"
)

// A Kind is one row of the problem table.
type Kind struct {
	Code       string `yaml:"code"`
	Status     int    `yaml:"status"`      // HTTP status
	Party      string `yaml:"party"`       // Caller, Gateway, Policy or Source
	Retry      bool   `yaml:"retry"`       // the same call may succeed later
	RetryAfter int    `yaml:"retry_after"` // seconds
	Zh         string `yaml:"zh"`
	En         string `yaml:"en"`
	AdviceZh   string `yaml:"advice_zh"`
	AdviceEn   string `yaml:"advice_en"`
}

//go:embed problems.yaml
var problems []byte

// table reads the embedded table once. It cannot fail in a binary whose tests ran.
var table = sync.OnceValue(func() map[string]Kind {
	kinds, err := parseTable(problems)
	if err != nil {
		panic(err)
	}
	byCode := make(map[string]Kind, len(kinds))
	for _, k := range kinds {
		byCode[k.Code] = k
	}
	return byCode
})

func parseTable(data []byte) ([]Kind, error) {
	var kinds []Kind
	if err := yaml.UnmarshalWithOptions(data, &kinds, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the problem table: %w", err)
	}
	return kinds, nil
}

// ByCode returns the row of a code.
func ByCode(code string) (Kind, bool) {
	k, ok := table()[code]
	return k, ok
}

// Kinds returns the whole table in its own order, for documents and tests.
func Kinds() []Kind {
	kinds, err := parseTable(problems)
	if err != nil {
		panic(err)
	}
	return kinds
}
