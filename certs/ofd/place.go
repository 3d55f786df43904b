package ofd

import (
	"cmp"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// checkName refuses names that some system would take for another file, or for one outside of the package.
func checkName(name string) error {
	switch {
	case name == "" || len(name) > maxName || !utf8.ValidString(name):
		return refuse(StepPackage, "the file name %s is empty, too long or not UTF-8", quote(name))
	case strings.ContainsAny(name, "\\:") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refuse(StepPackage, "the file name %s has a back slash, colon or control character", quote(name))
	case name[0] == '/':
		return refuse(StepPackage, "the file name %s is absolute", quote(name))
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		if part == "" || part == "." || part == ".." || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
			return refuse(StepPackage, "the file name %s leaves its folder or has an empty part", quote(name))
		}
	}
	return nil
}

// placeEntries finds where the bytes of each entry lie, and that nothing lies before, between or under them.
func placeEntries(r io.ReaderAt, all []entry, directory int64) error {
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.header, b.header) })
	at := int64(0)
	var head [localSize + maxName]byte
	for i := range all {
		e := &all[i]
		if e.header < at {
			return refuse(StepPackage, "the files %s and %s lie over each other", quote(all[max(i, 1)-1].name), quote(e.name))
		}
		if e.header-at > gap(all, i) {
			return refuse(StepPackage, "there are bytes before the file %s that belong to no file", quote(e.name))
		}
		local := head[:localSize+len(e.name)]
		if e.header+int64(len(local)) > directory {
			return refuse(StepPackage, "the file %s lies outside of the zip", quote(e.name))
		}
		if err := readAt(r, local, e.header); err != nil {
			return err
		}
		extra := make([]byte, binary.LittleEndian.Uint16(local[28:]))
		if err := readAt(r, extra, e.header+int64(len(local))); err != nil {
			return err
		}
		if !agrees(local, extra, *e) {
			return refuse(StepPackage, "the file %s is named or sized differently in two places of the zip", quote(e.name))
		}
		e.data = e.header + int64(len(local)+len(extra))
		if at = e.data + e.packed; at > directory {
			return refuse(StepPackage, "the file %s lies outside of the zip", quote(e.name))
		}
	}
	if directory-at > gap(all, len(all)) {
		return refuse(StepPackage, "there are bytes before the zip directory that belong to no file")
	}
	return nil
}

// gap is how many bytes may lie before entry i: the data descriptor of the entry before it.
func gap(all []entry, i int) int64 {
	if i > 0 && all[i-1].flags&8 != 0 {
		return maxGap
	}
	return 0
}

// agrees compares an entry's local header, and the extra field behind it, with its header in the directory. Sizes may come
// later, in a data descriptor, or stand in a zip64 field although they are small: some .NET writers do that.
func agrees(b, extra []byte, e entry) bool {
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(b[i:]) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[i:])) }
	if u32(0) != localMagic || u16(8) != e.method || int(u16(26)) != len(e.name) || string(b[localSize:]) != e.name {
		return false
	}
	packed, size := u32(18), u32(22)
	if u16(6)&8 != 0 && packed == 0 && size == 0 {
		return true
	}
	if packed == math.MaxUint32 && size == math.MaxUint32 {
		packed, size = zip64(extra)
	}
	return packed == e.packed && size == e.size && uint32(u32(14)) == e.crc
}

// zip64 reads the sizes in an extra field; negative when there are none.
func zip64(extra []byte) (packed, size int64) {
	for len(extra) >= 4 {
		tag, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if extra = extra[4:]; n > len(extra) {
			break
		}
		if tag == 1 && n >= 16 {
			return int64(binary.LittleEndian.Uint64(extra[8:])), int64(binary.LittleEndian.Uint64(extra))
		}
		extra = extra[n:]
	}
	return -1, -1
}
