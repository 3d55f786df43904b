package audit

import (
	"crypto/hmac"
	"fmt"
	"hash"

	"oncegate/canonical"
	"oncegate/hashpool"
	"oncegate/license"
)

// The code types under which a record commits to what is no holder.
const (
	OperatorType = "operator"   // an operator (经办人)
	CaseType     = "case"       // a case number that is nothing but the caller's word
	RequestType  = "request-id" // a request id that is no UUID
)

// Commitment returns HMAC-SM3(r, JCS([type, code])) in base64url: what stands for a person in a record. r is 32 random
// bytes per person and record, so that nobody who lacks r can link or guess.
func Commitment(newSM3 func() hash.Hash, r []byte, person license.HolderID) (string, error) {
	pair, err := pairOf(person)
	if err != nil {
		return "", fmt.Errorf("write person: %w", err)
	}
	return commit(newSM3, r, pair), nil
}

func commit(newSM3 func() hash.Hash, r, pair []byte) string {
	mac := hmac.New(newSM3, r)
	mac.Write(pair)
	return canonical.Base64(mac.Sum(nil))
}

// pairOf is JCS([type, code]).
func pairOf(person license.HolderID) ([]byte, error) {
	return canonical.AppendStrings(nil, person.Type, person.Code)
}

// keyed is the digest that the index holds instead of the person, "" for nobody. It is the same over all records, so it
// never leaves the database.
func keyed(key *hashpool.Pool, person license.HolderID) (string, error) {
	if person.Code == "" {
		return "", nil
	}
	pair, err := pairOf(person)
	if err != nil {
		return "", fmt.Errorf("write person: %w", err)
	}
	return keyedDigest(key, pair), nil
}

func keyedDigest(key *hashpool.Pool, pair []byte) string {
	sum := key.Sum(pair)
	return canonical.Base64(sum[:])
}

// operator names an operator as a person, the zero one if there is no code.
func operator(code string) license.HolderID { return textOf(OperatorType, code) }

// caseNumber and requestID name texts that a caller wrote as persons are named, because they may be a person's number: committed to,
// sealed, found and erased alike.
func caseNumber(no string) license.HolderID { return textOf(CaseType, no) }

func requestID(id string) license.HolderID { return textOf(RequestType, id) }

func textOf(kind, text string) license.HolderID {
	if text == "" {
		return license.HolderID{}
	}
	return license.HolderID{Type: kind, Code: text}
}
