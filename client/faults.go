package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/license"
)

// Faults are all things wrong in a trust configuration.
type Faults []license.Fault

// Error lists every fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Path + ": " + fault.Reason
	}
	return fmt.Sprintf("trust has %d faults: %s", len(f), strings.Join(lines, "; "))
}

func (f *Faults) add(path, reason string) {
	*f = append(*f, license.Fault{Path: path, Reason: reason})
}

func (f *Faults) addErr(path string, err error) {
	if err != nil {
		f.add(path, err.Error())
	}
}

// err returns the faults as an error, nil if there are none.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// trustSyntax says where trust.json cannot be read: the place as a path, with its line and column.
func trustSyntax(data []byte, err error) license.Fault {
	var pointer jsontext.Pointer
	var offset int64
	reason := "is not the JSON of a trust file"
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		pointer, offset, reason = e.JSONPointer, e.ByteOffset, e.Err.Error()
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		pointer, offset, reason = e.JSONPointer, e.ByteOffset, "is of another type than a trust file has there"
		if errors.Is(e.Err, json.ErrUnknownName) {
			reason = "is not known in a trust file"
		}
	}
	before := string(data[:min(int(offset), len(data))])
	line := strings.Count(before, "\n") + 1
	column := len(before) - strings.LastIndexByte(before, '\n')
	return license.Fault{Path: yamlPath(pointer), Reason: fmt.Sprintf("%s (line %d, column %d)", reason, line, column)}
}

// yamlPath writes a JSON pointer the way all faults of the house are written: "$.logs[0].sm2".
func yamlPath(p jsontext.Pointer) string {
	path := "$"
	for token := range p.Tokens() {
		if strings.Trim(token, "0123456789") == "" && token != "" {
			path += "[" + token + "]"
		} else {
			path += "." + token
		}
	}
	return path
}
