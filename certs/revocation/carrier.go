package revocation

import "encoding/asn1"

// OIDRevocationValues names evidence where its DER ([Evidence.Marshal]) travels in something else: as an unsigned attribute
// of a CMS signer (RFC 5126 section 6.3.4), or as an extension of a seal's signature.
var OIDRevocationValues = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 24}

// Parts gives the evidence as a SignedData carries it in its field crls (RFC 5652 section 10.2.1, RFC 5940): lists, and
// answers as whole OCSPResponses.
func (e *Evidence) Parts() (lists, responses [][]byte, err error) {
	for _, l := range e.Lists {
		lists = append(lists, l.Raw)
	}
	for _, r := range e.Responses {
		der, err := wrapBasic(r.Raw)
		if err != nil {
			return nil, nil, err
		}
		responses = append(responses, der)
	}
	return lists, responses, nil
}

// Gather reads evidence from a SignedData: lists, and OCSPResponses. What is not ours to read, such as a list signed with
// RSA, or beyond the limits of evidence is passed over: what is missing shows as a step.
func Gather(lists, responses [][]byte) *Evidence {
	e := &Evidence{}
	size := 0
	for _, der := range lists {
		if size += len(der); size <= MaxList {
			_ = e.addList(der)
		}
	}
	for _, der := range responses[:min(len(responses), maxItems)] {
		if r, err := ParseResponse(der); err == nil {
			_ = e.addBasic(r.Raw)
		}
	}
	return e
}
