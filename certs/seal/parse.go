package seal

// ParseSeal reads an SESeal of version 1, 4 or 5, strict DER, nothing after it. Errors are ErrForm or ErrVersion.
func ParseSeal(der []byte) (*Seal, error) { return nil, ErrForm }

// ParseSignature reads an SES_Signature with the seal inside, of version 1, 4 or 5, strict DER, nothing after it. Errors
// are ErrForm or ErrVersion.
func ParseSignature(der []byte) (*Signature, error) { return nil, ErrForm }
