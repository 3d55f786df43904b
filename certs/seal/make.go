package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// Bounds of what is made.
const (
	maxName    = 240       // bytes of a name: 80 Chinese characters
	maxID      = 128       // bytes of esID and Vid
	maxData    = 512 << 10 // bytes of a picture: one of 40 mm at 600 dpi has a tenth of it
	maxPixels  = 4096      // a side
	maxSide    = 200       // mm
	ourVid     = "oncegate"
	latestYear = 9999 // of a GeneralizedTime
)

// A Maker makes seals (制章者).
type Maker struct {
	Signer      sm.Signer
	Certificate *pki.Certificate // of Signer's key, usage [pki.SealMaker]
	Vid         string           // vendor id, ASCII; empty means "oncegate"
	Now         func() time.Time // nil means time.Now
	// VerifyBoth checks the signature before the seal leaves; nil means [sm.Verify]. Give it [second.VerifyBoth].
	VerifyBoth sm.VerifyFunc
}

// A Spec says which seal to make. ID and picture are the caller's; sheet.DrawSeal draws one.
type Spec struct {
	ID      string // esID, ASCII, unique among the maker's seals
	Type    int64  // zero means [Unit]
	Name    string
	From    time.Time // validStart, whole seconds
	To      time.Time // validEnd, whole seconds, not after the end of the maker's certificate
	Signers []*pki.Certificate
	Digests bool    // list digests of the signers' certificates in place of the certificates
	Picture Picture // PNG; Type may be empty
}

// Make makes a seal of version 4. A spec that cannot be is ErrSpec or ErrPicture, a foreign key ErrKey, a maker's
// certificate that is not valid now ErrPeriod.
func Make(ctx context.Context, m Maker, s Spec) (*Seal, error) {
	made, err := m.make(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("make seal: %w", err)
	}
	return made, nil
}

func (m Maker) make(ctx context.Context, s Spec) (*Seal, error) {
	now := clock(m.Now)
	if err := owns(m.Signer, m.Certificate, now); err != nil {
		return nil, err
	}
	if s.Type == 0 {
		s.Type = Unit
	}
	if m.Vid == "" {
		m.Vid = ourVid
	}
	if s.Picture.Type == "" {
		s.Picture.Type = "png"
	}
	if err := errors.Join(s.check(), s.Picture.check()); err != nil {
		return nil, err
	}
	switch {
	case !ascii(m.Vid):
		return nil, fmt.Errorf("%w: the vendor id is not ASCII of 1 to %d characters", ErrSpec, maxID)
	case s.To.After(m.Certificate.NotAfter):
		return nil, fmt.Errorf("%w: the seal would outlive its maker's certificate", ErrSpec)
	}
	info, err := marshalInfo(m.Vid, s, now)
	if err != nil {
		return nil, err
	}
	value, err := signDER(ctx, m.Signer, m.VerifyBoth, info)
	if err != nil {
		return nil, err
	}
	der, err := marshalSeal(info, m.Certificate.Raw, value)
	if err != nil {
		return nil, err
	}
	return ParseSeal(der)
}

// check holds a spec to what a seal can say.
func (s Spec) check() error {
	switch {
	case !ascii(s.ID):
		return fmt.Errorf("%w: the id is not ASCII of 1 to %d characters", ErrSpec, maxID)
	case s.Name == "" || len(s.Name) > maxName || !printable(s.Name):
		return fmt.Errorf("%w: the name is not printable text of 1 to %d bytes", ErrSpec, maxName)
	case s.Type < 1:
		return fmt.Errorf("%w: type %d", ErrSpec, s.Type)
	case s.From.Nanosecond() != 0 || s.To.Nanosecond() != 0 || !s.From.Before(s.To):
		return fmt.Errorf("%w: validity is not from an earlier to a later whole second", ErrSpec)
	case s.From.UTC().Year() < 1 || s.To.UTC().Year() > latestYear:
		return fmt.Errorf("%w: validity in a year without four digits", ErrSpec)
	case len(s.Signers) == 0 || len(s.Signers) > MaxSigners:
		return fmt.Errorf("%w: %d signers, not 1 to %d", ErrSpec, len(s.Signers), MaxSigners)
	}
	for _, c := range s.Signers {
		if c.IsCA || c.KeyUsage&(smx509.KeyUsageDigitalSignature|smx509.KeyUsageContentCommitment) == 0 {
			return fmt.Errorf("%w: a signer's certificate is not for signing", ErrSpec)
		}
	}
	return nil
}

// check holds a picture to a PNG of bounded size; only its head is decoded.
func (p Picture) check() error {
	if p.Width < 1 || p.Width > maxSide || p.Height < 1 || p.Height > maxSide {
		return fmt.Errorf("%w: sides of %d × %d mm", ErrPicture, p.Width, p.Height)
	}
	if p.Type != "png" && p.Type != "PNG" || len(p.Data) > maxData {
		return fmt.Errorf("%w: not a PNG of at most %d bytes", ErrPicture, maxData)
	}
	c, err := png.DecodeConfig(bytes.NewReader(p.Data))
	if err != nil || c.Width > maxPixels || c.Height > maxPixels {
		return fmt.Errorf("%w: not a PNG of at most %d pixels a side", ErrPicture, maxPixels)
	}
	return nil
}

// owns says that the certificate is valid now and of the signer's key.
func owns(signer sm.Signer, c *pki.Certificate, now time.Time) error {
	if signer == nil || c == nil || signer.Public() == nil || !signer.Public().Equal(c.PublicKey) {
		return ErrKey
	}
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return fmt.Errorf("%w: the certificate", ErrPeriod)
	}
	return nil
}

// signDER signs and has the signature checked before anybody sees it.
func signDER(ctx context.Context, signer sm.Signer, confirm sm.VerifyFunc, message []byte) ([]byte, error) {
	rs, err := signer.Sign(ctx, message)
	if err != nil {
		return nil, err
	}
	if confirm == nil {
		confirm = sm.Verify
	}
	if err := confirm(signer.Public(), message, rs); err != nil {
		return nil, err
	}
	return sm.RawToDER(rs)
}

// clock gives the time in whole seconds: what a GeneralizedTime of ours says.
func clock(now func() time.Time) time.Time {
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Second)
}

// ascii says that s is an identifier of printable ASCII.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
