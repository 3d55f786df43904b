package ofd

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// placeEntries finds where the bytes of each entry lie, compares local headers and data descriptors with the directory, and
// demands that entries follow each other from the first byte of the package to the directory without a gap.
func placeEntries(ctx context.Context, r io.ReaderAt, all []entry, directory int64) error {
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.header, b.header) })
	at := int64(0)
	for i := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &all[i]
		switch {
		case e.header < at:
			return refuse(StepPackage, "the files %s and %s lie over each other", quote(all[max(i, 1)-1].name), quote(e.name))
		case e.header > at:
			return refuse(StepPackage, "there are bytes before the file %s that belong to no file", quote(e.name))
		}
		if err := placeEntry(r, e, directory); err != nil {
			return err
		}
		at = e.data + e.packed
		if e.flags&flagDescriptor != 0 {
			at += descriptorSize
		}
	}
	if at != directory {
		return refuse(StepPackage, "there are bytes before the zip directory that belong to no file")
	}
	return nil
}

// placeEntry reads the local header of an entry, and the data descriptor behind its bytes where it has one.
func placeEntry(r io.ReaderAt, e *entry, directory int64) error {
	var head [localSize + maxName]byte
	local := head[:localSize+len(e.name)]
	e.data = e.header + int64(len(local))
	if e.data > directory {
		return refuse(StepPackage, "the file %s lies outside of the zip", quote(e.name))
	}
	if err := readAt(r, local, e.header); err != nil {
		return err
	}
	var extra [maxExtra]byte
	n := int(binary.LittleEndian.Uint16(local[28:]))
	if n > len(extra) {
		return refuse(StepPackage, "the extra fields of the file %s are too long", quote(e.name))
	}
	if err := readAt(r, extra[:n], e.data); err != nil {
		return err
	}
	if err := agrees(local, extra[:n], *e); err != nil {
		return err
	}
	e.data += int64(n)
	end := e.data + e.packed
	if e.flags&flagDescriptor != 0 {
		end += descriptorSize
	}
	if end > directory {
		return refuse(StepPackage, "the file %s lies outside of the zip", quote(e.name))
	}
	if e.flags&flagDescriptor == 0 {
		return nil
	}
	var d [descriptorSize]byte
	if err := readAt(r, d[:], e.data+e.packed); err != nil {
		return err
	}
	u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(d[i:]) }
	if u32(0) != descriptorMagic || u32(4) != e.crc || int64(u32(8)) != e.packed || int64(u32(12)) != e.size {
		return refuse(StepPackage, "behind the file %s stands no data descriptor with what the zip directory says", quote(e.name))
	}
	return nil
}

// agrees compares an entry's local header, and the extra fields behind it, with its header in the directory. Beside a data
// descriptor each of checksum and sizes may be zero: writers that stream fill in what they know.
func agrees(b, extra []byte, e entry) error {
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(b[i:]) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[i:])) }
	differs := func(what string) error {
		return refuse(StepPackage, "the zip says two things of the %s of the file %s", what, quote(e.name))
	}
	switch {
	case u32(0) != localMagic || int(u16(26)) != len(e.name) || string(b[localSize:]) != e.name:
		return differs("name")
	case u16(4) > maxVersion:
		return refuse(StepPackage, "the file %s needs version %d of zip to be unpacked", quote(e.name), u16(4))
	case u16(6) != e.flags:
		return differs("flags")
	case u16(8) != e.method:
		return differs("method")
	}
	if err := checkExtra(extra, e, true); err != nil {
		return err
	}
	crc, packed, size := u32(14), u32(18), u32(22)
	if packed == math.MaxUint32 && size == math.MaxUint32 && hasZip64(extra) {
		packed, size = e.packed, e.size
	}
	later := func(v int64) bool { return v == 0 && e.flags&flagDescriptor != 0 }
	switch {
	case crc != int64(e.crc) && !later(crc):
		return differs("checksum")
	case packed != e.packed && !later(packed), size != e.size && !later(size):
		return differs("size")
	}
	return nil
}

// hasZip64 says whether there are zip64 sizes among extra fields, which checkExtra has found to be well-formed.
func hasZip64(extra []byte) bool {
	for len(extra) >= 4 && binary.LittleEndian.Uint16(extra) != tagZip64 {
		extra = extra[4+binary.LittleEndian.Uint16(extra[2:]):]
	}
	return len(extra) >= 4
}
