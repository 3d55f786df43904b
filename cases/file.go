package cases

import (
	"archive/zip"
	"bytes"
	"image"
	_ "image/jpeg" // scans
	_ "image/png"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Media types of files that windows receive.
const (
	MediaPDF  = "application/pdf"
	MediaOFD  = "application/ofd"
	MediaJPEG = "image/jpeg"
	MediaPNG  = "image/png"
)

// Bounds of what a received file may unpack to, for whoever opens it later. Nothing of it is unpacked here.
const (
	mostEntries  = 4096
	mostUnpacked = 64 << 20  // bytes
	mostPixels   = 100 << 20 // an A3 page at 600 dots per inch has 70 million
)

// MediaOf returns the media type of a file that a window may receive, by its content: a PDF or OFD document, or a JPEG or PNG picture. It is "" for
// anything else, for a file that is of two types at once (polyglot: a viewer and a virus scanner may disagree about it), and for one that says to
// unpack to more than anybody should open (zip bomb, decompression bomb).
func MediaOf(file []byte) string {
	switch kind := http.DetectContentType(file); {
	case strings.HasPrefix(kind, "application/zip"):
		if isOFD(file) {
			return MediaOFD
		}
	case isArchive(file):
	case strings.HasPrefix(kind, MediaPDF):
		return MediaPDF
	case kind == MediaJPEG && isPicture(file, "jpeg"):
		return MediaJPEG
	case kind == MediaPNG && isPicture(file, "png"):
		return MediaPNG
	}
	return ""
}

// isOFD reports whether a ZIP file is a package of a document (GB/T 33190-2016, 7): it begins with its first entry, ends with its directory, and
// says to unpack to no more than the bounds.
func isOFD(file []byte) bool {
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil || !bytes.HasPrefix(file, []byte("PK\x03\x04")) || z.Comment != "" || len(z.File) > mostEntries {
		return false
	}
	unpacked := uint64(0)
	for _, f := range z.File {
		if unpacked += f.UncompressedSize64; f.UncompressedSize64 > mostUnpacked || unpacked > mostUnpacked {
			return false
		}
	}
	return slices.ContainsFunc(z.File, func(f *zip.File) bool { return f.Name == "OFD.xml" })
}

// isArchive reports whether a file can be opened as a ZIP archive, whatever stands before it.
func isArchive(file []byte) bool {
	_, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	return err == nil
}

func isPicture(file []byte, format string) bool {
	c, is, err := image.DecodeConfig(io.LimitReader(bytes.NewReader(file), 1<<20))
	return err == nil && is == format && c.Width > 0 && c.Height > 0 && c.Width <= mostPixels/c.Height
}
