package cases

import "time"

// A HandOver says that the file of a case (案卷) was handed over to whoever keeps the archive (归档移交, GB/T 42727-2023). Disposal never comes before
// it: the file of a filed material is erased at the end of its retention only once its case was handed over. The package itself stays with the
// caller; its digest says what was handed over.
type HandOver struct {
	Case   string
	Digest string    // base64url SM3 of the package (归档包) that was handed over
	By     string    // id of the system that did
	At     time.Time //
}

// HandOverMark is how the store marks the row of a hand-over among those of a case.
const HandOverMark = "handed-over"
