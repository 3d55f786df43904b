package client

import (
	"bytes"

	"oncegate/certs/sm"
)

// isPicture tells whether an artefact shows a license and is not signed: PDF, PNG or SVG.
func isPicture(data []byte) bool {
	for _, begin := range []string{"%PDF-", "\x89PNG\r\n", "<svg "} {
		if bytes.HasPrefix(data, []byte(begin)) {
			return true
		}
	}
	return bytes.HasPrefix(data, []byte("<?xml ")) && bytes.Contains(data[:min(len(data), 256)], []byte("<svg "))
}

// picture looks for the answer that released a picture: nothing else proves it.
func (s *sheaf) picture(data []byte) (done steps) {
	const name = "picture-released"
	named := []byte(`"sm3":"` + sm.DigestB64(data) + `"`)
	for _, d := range s.answers {
		if bytes.Contains(d.answer, named) {
			done.ok(name, "an answer among the files, whose receipt holds, released it")
			return done
		}
	}
	done.unknown(name, "a picture proves nothing by itself, and no answer that released it is among the files")
	return done
}
