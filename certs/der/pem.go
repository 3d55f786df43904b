package der

import (
	"bytes"
	"encoding/pem"
	"errors"
)

// ErrPEM says that a text is not PEM (RFC 7468) whose blocks can all be read.
var ErrPEM = errors.New("a PEM block is damaged")

// Blocks returns the blocks of a PEM text in order; none where there are none. Text around the blocks is passed over, as RFC 7468
// section 2 asks, but a damaged block is an error: package pem skips one without a word, so that the next would be taken for it.
func Blocks(text []byte) (list []*pem.Block, err error) {
	const boundary = "-----"
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		list = append(list, block)
	}
	if bytes.Count(text, []byte(boundary)) != 4*len(list) { // two before and two behind the words BEGIN and END
		return nil, ErrPEM
	}
	return list, nil
}

// Block returns the one block of a PEM text that has this label.
func Block(text []byte, label string) ([]byte, error) {
	list, err := Blocks(text)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || list[0].Type != label {
		return nil, errors.New("not one PEM block of " + label)
	}
	return list[0].Bytes, nil
}
