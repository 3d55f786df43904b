package envelope

import (
	"crypto/cipher"

	"github.com/emmansun/gmsm/sm4"

	"oncegate/certs/sm"
)

// A ShortCipher is deterministic authenticated encryption of texts of ShortSize bytes in one block of SM4 (GB/T 32907): a text followed
// by zeros is enciphered, and a block that does not end in them after deciphering was not made by Seal (encode-then-encipher, Bellare
// and Rogaway, ASIACRYPT 2000). There is no nonce: equal texts give equal blocks, and nothing else of a text shows. A random block opens
// with probability 2^-48, so a text carries redundancy of its own where that is too much. It is safe for concurrent use.
type ShortCipher struct{ block cipher.Block }

const (
	// ShortSize is the length of a text in bytes.
	ShortSize = 10
	// ShortBlock is the length of a sealed text in bytes.
	ShortBlock = sm4.BlockSize
)

// NewShortCipher derives the key of a purpose from a secret.
func NewShortCipher(secret []byte, purpose string) (*ShortCipher, error) {
	key := sm.HMAC(secret, []byte("oncegate/envelope/sm4-short/v1/"+purpose))
	block, err := sm4.NewCipher(key[:sm4.BlockSize])
	if err != nil {
		return nil, err
	}
	return &ShortCipher{block}, nil
}

// Seal enciphers a text.
func (c *ShortCipher) Seal(text [ShortSize]byte) (sealed [ShortBlock]byte) {
	copy(sealed[:], text[:])
	c.block.Encrypt(sealed[:], sealed[:])
	return sealed
}

// Open deciphers a block. The error is ErrTampered where Seal did not make it.
func (c *ShortCipher) Open(sealed [ShortBlock]byte) (text [ShortSize]byte, err error) {
	c.block.Decrypt(sealed[:], sealed[:])
	var rest byte
	for _, b := range sealed[ShortSize:] {
		rest |= b
	}
	if rest != 0 {
		return text, ErrTampered
	}
	return [ShortSize]byte(sealed[:ShortSize]), nil
}
