package sm

import (
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/der"
)

// ErrPrivateKey says that the text is no SM2 private key.
var ErrPrivateKey = errors.New("not an sm2 private key")

// ParsePrivatePEM reads a private key as OpenSSL and others write it: PKCS#8 ("PRIVATE KEY") or SEC 1 ("EC PRIVATE KEY"),
// not encrypted. Errors quote nothing of the text.
func ParsePrivatePEM(text []byte) (priv *PrivateKey, err error) {
	defer func() {
		if recover() != nil {
			priv, err = nil, ErrPrivateKey
		}
	}()
	blocks, err := der.Blocks(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	for _, block := range blocks {
		var key any
		switch block.Type {
		case "EC PARAMETERS":
			continue
		case "EC PRIVATE KEY":
			key, err = smx509.ParseSM2PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = smx509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			return nil, fmt.Errorf("%w: the PEM block is %q", ErrPrivateKey, block.Type)
		}
		found, ok := key.(*sm2.PrivateKey)
		if err != nil || !ok || found == nil {
			return nil, ErrPrivateKey
		}
		return ParsePrivateKey(PrivateBytes(found))
	}
	return nil, fmt.Errorf("%w: there is no PEM block", ErrPrivateKey)
}

// MarshalPrivatePEM writes a private key as PKCS#8 PEM, not encrypted: the caller sees to its file mode.
func MarshalPrivatePEM(priv *PrivateKey) ([]byte, error) {
	der, err := smx509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, ErrPrivateKey
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
