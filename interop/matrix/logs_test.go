package matrix_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	formatsnote "github.com/transparency-dev/formats/note"
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
		c.cosignature(),
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
		{
			name: "Log: asking witnesses (C2SP tlog-witness)",
			ours: side{maker{with: "the running gateway", run: nothing}, checker{why: "Oncegate's own witness is asked by gateways; its lines stand in the row above."}},
			theirs: map[string]side{
				openSSL:      {none.make, checker{why: "Witnesses are log tools."}},
				bouncyCastle: {none.make, checker{why: "Witnesses are log tools."}},
				logTools:     {none.make, checker{by: "interop/litewitness_test.go TestLitewitness", with: code("torchwood/litewitness")}},
			},
		},
	}
}

// cosignature: a work is a checkpoint that a witness has co-signed, and the witness's key.
func (c *city) cosignature() row {
	const noTool = "Witnesses and who verifies them are log tools."
	return row{
		name: "Checkpoint: a witness's line (C2SP cosignature/v1)",
		spoil: func(_ *testing.T, b []byte) []byte {
			return bytes.Replace(b, []byte("\n3\n"), []byte("\n4\n"), 1)
		},
		ours: side{
			maker{with: code("note.WitnessNoteSigner"), run: func(t *testing.T) work {
				_, key, err := ed25519.GenerateKey(rand.Reader)
				must(t, err)
				s, err := note.WitnessNoteSigner("witness.example/w1", key, time.Now)
				must(t, err)
				vkey, err := note.MarshalWitnessVKey(s.Name(), key.Public().(ed25519.PublicKey))
				must(t, err)
				plain, err := note.MarshalVKey(s.Name(), key.Public().(ed25519.PublicKey))
				must(t, err)
				b, err := xnote.Sign(&xnote.Note{Text: noteText}, s.Bind(t.Context()))
				must(t, err)
				return work{b, []byte(vkey), []byte(plain)}
			}},
			checker{with: code("note.WitnessNoteVerifiers"), run: func(t *testing.T, w work) error {
				for _, vkey := range []string{string(w[1]), string(w[2])} { // of type 0x04, and the same key of type 0x01
					all, err := note.WitnessNoteVerifiers(vkey)
					must(t, err)
					v := all[len(all)-1]
					n, err := xnote.Open(w[0], xnote.VerifierList(v))
					if err != nil {
						return err
					}
					if at, err := formatsnote.CoSigV1Timestamp(n.Sigs[0]); err != nil || !at.Equal(v.SignedAt(n.Sigs[0])) || time.Since(at).Abs() > time.Minute {
						return fmt.Errorf("signed at %v, read as %v: %w", at, v.SignedAt(n.Sigs[0]), err)
					}
				}
				return nil
			}},
		},
		theirs: map[string]side{
			openSSL:      {maker{why: noTool}, checker{why: noTool}},
			bouncyCastle: {maker{why: noTool}, checker{why: noTool}},
			logTools: {
				maker{with: code("formats/note.NewSignerForCosignatureV1"), run: func(t *testing.T) work {
					skey, plain, err := xnote.GenerateKey(rand.Reader, "witness.example/w1")
					must(t, err)
					s, err := formatsnote.NewSignerForCosignatureV1(skey)
					must(t, err)
					vkey, err := formatsnote.VKeyToCosignatureV1(plain)
					must(t, err)
					b, err := xnote.Sign(&xnote.Note{Text: noteText}, s)
					must(t, err)
					return work{b, []byte(vkey), []byte(plain)}
				}},
				checker{with: code("formats/note.NewVerifierForCosignatureV1"), run: func(t *testing.T, w work) error {
					v, err := formatsnote.NewVerifierForCosignatureV1(string(w[1]))
					must(t, err)
					_, err = xnote.Open(w[0], xnote.VerifierList(v))
					return err
				}},
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
