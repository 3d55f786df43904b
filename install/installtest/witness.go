package installtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// WitnessKey is a witness's key as C2SP has it, and a function that co-signs a checkpoint with it.
func WitnessKey(name string, seed byte) (vkey string, cosign func(checkpoint []byte, at time.Time) []byte) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	typed := append([]byte{4}, key.Public().(ed25519.PublicKey)...)
	id := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(typed)), func(checkpoint []byte, at time.Time) []byte {
		text, _, _ := strings.Cut(string(checkpoint), "\n\n")
		signature := ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at.Unix(), text))
		line := append(binary.BigEndian.AppendUint64(id[:4:4], uint64(at.Unix())), signature...)
		return fmt.Appendf(checkpoint, "— %s %s\n", name, base64.StdEncoding.EncodeToString(line))
	}
}
