package pkcs12

import (
	"crypto/hmac"
	"hash"

	"oncegate/certs/der"
)

// MAC makes the MAC of a file.
func MAC(h func() hash.Hash, password string, salt []byte, iterations int, protected []byte) []byte {
	m := hmac.New(h, derive(h, password, salt, iterations, 3, h().Size()))
	m.Write(protected)
	return m.Sum(nil)
}

// ParseBags reads contents that no MAC protects.
func ParseBags(data []byte) (err error) {
	r := &reader{password: "x", budget: 1000}
	defer func() {
		if recover() != nil {
			err = ErrMalformed
		}
	}()
	for in := der.Read(data, ErrMalformed); !in.Empty() && err == nil; {
		err = r.content(&in)
	}
	return err
}
