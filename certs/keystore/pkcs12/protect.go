package pkcs12

import (
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"
	"math/big"
	"unicode/utf16"

	"github.com/emmansun/gmsm/pkcs"

	"oncegate/certs/der"
	"oncegate/certs/sm"
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidSMPBES = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 4, 1, 5, 2}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidSMKDF  = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 4, 1, 5, 1}
	oidDES3   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	oidRC2128 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 5}
	oidRC240  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}
)

// macHashes are the digests of MACs, with the block size of each.
var macHashes = []struct {
	oid asn1.ObjectIdentifier
	new func() hash.Hash
}{
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, sha1.New},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, sha256.New},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, sha512.New384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, sha512.New},
	{asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401}, sm.New},
}

// checkMAC checks MacData over what it protects. A file without one is refused: nothing would tell a wrong password from a
// changed file.
func (r *reader) checkMAC(pfx *der.Cursor, protected []byte) error {
	if pfx.Empty() {
		return fmt.Errorf("%w: it has no MAC", ErrUnsupported)
	}
	const member = "its MAC"
	mac := pfx.Sequence(member)
	pfx.End(member)
	info := mac.Sequence(member)
	algorithm := info.Sequence(member)
	oid := algorithm.OID(member)
	want := info.Octets(member)
	info.End(member)
	salt := mac.Octets(member)
	iterations := 1
	if !mac.Empty() {
		iterations = int(mac.Int(member))
		mac.End(member)
	}
	if err := pfx.Err(); err != nil {
		return err
	}
	if err := r.spend(iterations); err != nil {
		return err
	}
	for _, h := range macHashes {
		if !h.oid.Equal(oid) {
			continue
		}
		m := hmac.New(h.new, derive(h.new, r.password, salt, iterations, 3, h.new().Size()))
		m.Write(protected)
		if !hmac.Equal(m.Sum(nil), want) {
			return ErrPassword
		}
		return nil
	}
	return fmt.Errorf("%w: its MAC", ErrUnsupported)
}

// spend takes iterations from the budget.
func (r *reader) spend(iterations int) error {
	if iterations < 1 || iterations > r.budget {
		return malformed("its keys take more than %d iterations to derive", maxIterations)
	}
	r.budget -= iterations
	return nil
}

func isRC2(algorithm []byte) bool {
	in := der.Read(algorithm, ErrMalformed)
	body := in.Sequence("an algorithm")
	oid := body.OID("an algorithm")
	return oid.Equal(oidRC240) || oid.Equal(oidRC2128)
}

// decrypt opens what an AlgorithmIdentifier (DER) says how to open.
func (r *reader) decrypt(algorithm, encrypted []byte) ([]byte, error) {
	var id pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(algorithm, &id); err != nil || len(rest) > 0 {
		return nil, malformed("an algorithm")
	}
	switch {
	case id.Algorithm.Equal(oidPBES2), id.Algorithm.Equal(oidSMPBES):
		return r.decryptPBES2(id, encrypted)
	case id.Algorithm.Equal(oidDES3):
		return r.decryptDES3(id, encrypted)
	}
	return nil, fmt.Errorf("%w: its encryption", ErrUnsupported)
}

// decryptPBES2 has the library decrypt, once the work that the file asks for is bounded. The password is UTF-8 here.
func (r *reader) decryptPBES2(id pkix.AlgorithmIdentifier, encrypted []byte) ([]byte, error) {
	var params pkcs.PBES2Params
	if rest, err := asn1.Unmarshal(id.Parameters.FullBytes, &params); err != nil || len(rest) > 0 {
		return nil, malformed("an algorithm")
	}
	kdf := params.KeyDerivationFunc
	if !kdf.Algorithm.Equal(oidPBKDF2) && !kdf.Algorithm.Equal(oidSMKDF) {
		return nil, fmt.Errorf("%w: its key derivation", ErrUnsupported)
	}
	var work struct {
		Salt       []byte
		Iterations int
		Length     int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &work); err != nil || len(rest) > 0 {
		return nil, malformed("a key derivation")
	}
	if err := r.spend(work.Iterations); err != nil {
		return nil, err
	}
	clear, _, err := params.Decrypt([]byte(r.password), encrypted)
	if err != nil {
		return nil, fmt.Errorf("%w: its encryption", ErrUnsupported) // the password was right: the MAC held
	}
	return clear, nil
}

// decryptDES3 opens pbeWithSHAAnd3-KeyTripleDES-CBC, RFC 7292 appendix C.
func (r *reader) decryptDES3(id pkix.AlgorithmIdentifier, encrypted []byte) ([]byte, error) {
	var params struct {
		Salt       []byte
		Iterations int
	}
	if rest, err := asn1.Unmarshal(id.Parameters.FullBytes, &params); err != nil || len(rest) > 0 {
		return nil, malformed("an algorithm")
	}
	if err := r.spend(params.Iterations); err != nil {
		return nil, err
	}
	if len(encrypted) == 0 || len(encrypted)%des.BlockSize != 0 {
		return nil, malformed("encrypted contents")
	}
	block, err := des.NewTripleDESCipher(derive(sha1.New, r.password, params.Salt, params.Iterations, 1, 24))
	if err != nil {
		return nil, err
	}
	clear := make([]byte, len(encrypted))
	iv := derive(sha1.New, r.password, params.Salt, params.Iterations, 2, des.BlockSize)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(clear, encrypted)
	n := int(clear[len(clear)-1])
	if n == 0 || n > des.BlockSize || n > len(clear) {
		return nil, malformed("encrypted contents")
	}
	return clear[:len(clear)-n], nil
}

// derive is the key derivation of RFC 7292 appendix B.2; id is 1 for a key, 2 for an IV, 3 for a MAC.
func derive(newHash func() hash.Hash, password string, salt []byte, iterations int, id byte, size int) []byte {
	h := newHash()
	u, v := h.Size(), h.BlockSize()
	d := make([]byte, v)
	for i := range d {
		d[i] = id
	}
	s, p := stretch(salt, v), stretch(bmp(password), v)
	in := append(s, p...)
	var out []byte
	for len(out) < size {
		h.Reset()
		h.Write(d)
		h.Write(in)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		out = append(out, a...)
		b := new(big.Int).Add(new(big.Int).SetBytes(stretch(a[:u], v)[:v]), big.NewInt(1))
		limit := new(big.Int).Lsh(big.NewInt(1), uint(8*v))
		for j := 0; j < len(in); j += v {
			n := new(big.Int).Add(new(big.Int).SetBytes(in[j:j+v]), b)
			n.Mod(n, limit).FillBytes(in[j : j+v])
		}
	}
	return out[:size]
}

// stretch repeats b up to a multiple of v bytes.
func stretch(b []byte, v int) []byte {
	n := (len(b) + v - 1) / v * v
	out := make([]byte, 0, n)
	for len(out) < n {
		out = append(out, b[:min(len(b), n-len(out))]...)
	}
	return out
}

// bmp is a password as a BMPString with two zero bytes after it.
func bmp(password string) []byte {
	var out []byte
	for _, c := range utf16.Encode([]rune(password)) {
		out = append(out, byte(c>>8), byte(c))
	}
	return append(out, 0, 0)
}
