package seal

import (
	"context"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A Maker makes seals (制章者).
type Maker struct {
	Signer      sm.Signer
	Certificate *pki.Certificate // of Signer's key, usage [pki.SealMaker]
	Vid         string           // vendor id, ASCII; empty means "oncegate"
	Now         func() time.Time // nil means time.Now
	// Confirm checks the signature before the seal leaves; nil means [sm.Verify]. Give it both voices.
	Confirm sm.VerifyFunc
}

// A Spec says which seal to make. Only the ID and picture need to be made by the caller beforehand ([Draw]).
type Spec struct {
	ID      string // esID, ASCII, unique among the maker's seals
	Type    int64  // zero means [Unit]
	Name    string
	From    time.Time // validStart, whole seconds
	To      time.Time // validEnd, whole seconds
	Signers []*pki.Certificate
	Digests bool // list digests of the signers' certificates in place of the certificates
	Picture Picture
}

// Make makes a seal of version 4. Spec errors are ErrSpec or ErrPicture, a foreign key is ErrKey, a maker's certificate
// that is not valid now is ErrPeriod.
func Make(ctx context.Context, m Maker, s Spec) (*Seal, error) { return nil, ErrSpec }
