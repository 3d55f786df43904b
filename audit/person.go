package audit

import (
	"crypto/hmac"
	"hash"

	"oncegate/license"
)

// OperatorType is the code type under which an operator (经办人) is committed to.
const OperatorType = "operator"

// Commitment returns HMAC-SM3(r, JCS([type, code])) in base64url: what stands for a person in a record. r is 32 random
// bytes per person and record, so that nobody who lacks r can link or guess.
func Commitment(newSM3 func() hash.Hash, r []byte, person license.HolderID) (string, error) {
	pair, err := Canonical([2]string{person.Type, person.Code})
	if err != nil {
		return "", err
	}
	mac := hmac.New(newSM3, r)
	mac.Write(pair)
	return encode(mac.Sum(nil)), nil
}

// keyed is the digest that the index holds instead of the person, "" for nobody. It is the same over all records, so it
// never leaves the database.
func (c Config) keyed(key []byte, person license.HolderID) (string, error) {
	if person.Code == "" {
		return "", nil
	}
	return Commitment(c.NewSM3, key, person)
}

// operator names an operator as a person, the zero one if there is no code.
func operator(code string) license.HolderID {
	if code == "" {
		return license.HolderID{}
	}
	return license.HolderID{Type: OperatorType, Code: code}
}
