package matrix_test

import (
	"bytes"
	"testing"

	xnote "golang.org/x/mod/sumdb/note"

	"oncegate/certs/note"
)

const (
	origin     = "gate.example.gov.cn/log"
	noteText   = origin + "\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nsm3-root GrIdg1XPoX+OYRlIMegajyK+yMco/vt0ftA161CCqis=\n"
	noteTest   = "certs/certstest/openssl_test.go TestOpenSSL"
	publicTest = "interop/log_test.go TestPublicLogTools"
)

func (c *city) logs() []row {
	const noReader = "Oncegate reads no log but its own."
	const noEd25519 = "Bouncy Castle can; two other tools do it."
	none := side{maker{why: noReader}, checker{}}
	return []row{
		c.checkpoint(),
		{
			name: "Checkpoint: the Ed25519 line (C2SP signed-note)",
			ours: side{maker{with: code("note.Ed25519NoteSigner"), run: nothing}, checker{why: noReader}},
			theirs: map[string]side{
				openSSL:      {none.make, checker{by: noteTest, with: code("verify_checkpoint_ed25519") + " of [verify.md](verify.md)"}},
				bouncyCastle: {none.make, checker{why: noEd25519}},
				logTools:     {none.make, checker{by: publicTest, with: code("note.Open", "formats/log.ParseCheckpoint")}},
			},
		},
		{
			name: "Log: tiles, receipts, growth (C2SP tlog-tiles)",
			ours: side{maker{with: "the running gateway", run: nothing}, checker{why: noReader}},
			theirs: map[string]side{
				openSSL:      {none.make, checker{by: "docs/verify_test.go TestVerifyDocument", with: code("openssl dgst"), partly: "receipts"}},
				bouncyCastle: {none.make, checker{why: "Hashes are all that is in it."}},
				logTools:     {none.make, checker{by: publicTest, with: code("tlog.CheckRecord", "tlog.CheckTree", "tessera/client", "tessera/fsck")}},
			},
		},
	}
}

func nothing(*testing.T) work { return nil }

// checkpoint: a work is a signed note, and the point of its key.
func (c *city) checkpoint() row {
	return row{
		name: "Checkpoint: the SM2 line",
		spoil: func(_ *testing.T, b []byte) []byte {
			return bytes.Replace(b, []byte("\n3\n"), []byte("\n4\n"), 1)
		},
		ours: side{
			maker{with: code("note.SM2NoteSigner"), run: func(t *testing.T) work {
				s, err := note.SM2NoteSigner(origin, c.signer(t))
				must(t, err)
				b, err := xnote.Sign(&xnote.Note{Text: noteText}, s.Bind(t.Context()))
				must(t, err)
				return work{b, c.point()}
			}},
			checker{with: code("note.SM2NoteVerifier"), run: func(t *testing.T, w work) error {
				v, err := note.SM2NoteVerifier(origin, &c.key.PublicKey, nil)
				must(t, err)
				_, err = xnote.Open(w[0], xnote.VerifierList(v))
				return err
			}},
		},
		theirs: map[string]side{
			openSSL: {maker{why: "It makes no signed note by itself."}, checker{by: noteTest, with: code("verify_checkpoint_sm2") + " of [verify.md](verify.md)"}},
			bouncyCastle: {
				c.made(code("SM2Signer"), func(t *testing.T) work { return c.bc.demand(t, "note.make", noteText, origin, c.d, c.point()) }),
				c.checked(code("SM2Signer"), func(t *testing.T, w work) error {
					_, err := c.bc.ask("note.verify", w[0], origin, w[1])
					return err
				}),
			},
			logTools: noSM2,
		},
	}
}
