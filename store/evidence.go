package store

import (
	"encoding/binary"
	"errors"
	"math"

	"oncegate/audit"
)

// Evidence is one column: for each part, in order, the kind's length (1 byte) and the kind, the digest's length (1) and
// the digest, the blob's length plus one (4, big endian; 0: erased) and the blob.

var errEvidence = errors.New("evidence cannot be kept in this form")

// packEvidence returns the column. erasable tells whether a part that retention erases still has its blob.
func packEvidence(parts []audit.Sealed) (column []byte, erasable bool, err error) {
	size := 0
	for _, p := range parts {
		size += 6 + len(p.Kind) + len(p.Digest) + len(p.Blob)
	}
	column = make([]byte, 0, size)
	for _, p := range parts {
		if len(p.Kind) > math.MaxUint8 || len(p.Digest) > math.MaxUint8 || len(p.Blob) >= math.MaxInt32 {
			return nil, false, errEvidence
		}
		column = append(column, byte(len(p.Kind)))
		column = append(column, p.Kind...)
		column = append(column, byte(len(p.Digest)))
		column = append(column, p.Digest...)
		if p.Blob == nil {
			column = binary.BigEndian.AppendUint32(column, 0)
			continue
		}
		erasable = erasable || isErasable(p.Kind)
		column = binary.BigEndian.AppendUint32(column, uint32(len(p.Blob)+1))
		column = append(column, p.Blob...)
	}
	return column, erasable, nil
}

// isErasable tells the parts that name or quote a person.
func isErasable(kind string) bool { return kind == "request" || kind == "person" }

// unpackEvidence is the inverse of packEvidence. The parts are slices of the column.
func unpackEvidence(column []byte) (parts []audit.Sealed, err error) {
	short := func(width int) (field []byte) {
		if len(column) < width {
			err = errEvidence
			return nil
		}
		n := int(column[0])
		if width == 4 {
			n = int(binary.BigEndian.Uint32(column)) - 1
		}
		column = column[width:]
		if n < 0 {
			return nil
		}
		if len(column) < n {
			err = errEvidence
			return nil
		}
		field, column = column[:n:n], column[n:]
		return field
	}
	for len(column) > 0 && err == nil {
		parts = append(parts, audit.Sealed{Kind: string(short(1)), Digest: short(1), Blob: short(4)})
	}
	if err != nil {
		return nil, err
	}
	return parts, nil
}
