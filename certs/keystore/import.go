package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A Delivery is an SM2 key that was made elsewhere, with its certificates: what a licensed authority (持牌 CA) hands over.
type Delivery struct {
	Purpose
	Key *sm.PrivateKey
	// Chain holds the certificates, leaf first, without the anchor; may be empty. The caller has verified where it leads.
	Chain []*pki.Certificate
	// Replace retires the purpose's current key, as a rotation does. Without it such a key is ErrExists.
	Replace bool
}

// check holds the certificate against key and usage: of this key, and allowed what the key is for (双证书: a signing
// certificate for everything but [Encryption]).
func (d Delivery) check() error {
	if d.Key == nil || d.Algorithm != SM2 {
		return errors.New("only sm2 keys are delivered")
	}
	if len(d.Chain) == 0 {
		return nil
	}
	leaf := d.Chain[0]
	switch {
	case !d.Key.PublicKey.Equal(leaf.PublicKey):
		return fmt.Errorf("%w: it is of another key", ErrMismatch)
	case d.Usage == Encryption && !pki.IsEncryption(leaf):
		return fmt.Errorf("%w: it is a signing certificate", ErrMismatch)
	case d.Usage != Encryption && !pki.IsSigning(leaf):
		return fmt.Errorf("%w: it is an encryption certificate", ErrMismatch)
	}
	return nil
}

// Import takes a key in and makes it the current one of its purpose. The same key again, for the same purpose, only
// brings its certificates. ErrExists, ErrMismatch.
func (s *Store) Import(d Delivery) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := s.take(d)
	if err != nil {
		return info, fmt.Errorf("import %s key: %w", d.Usage, err)
	}
	return info, nil
}

func (s *Store) take(d Delivery) (Info, error) {
	if err := d.check(); err != nil {
		return Info{}, err
	}
	if err := d.Purpose.check(); err != nil {
		return Info{}, err
	}
	old, err := s.current(d.Purpose)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Info{}, err
	}
	e := &entry{Info: Info{Purpose: d.Purpose, State: Current, Created: s.now().UTC().Truncate(time.Millisecond)}, secret: sm.PrivateBytes(d.Key)}
	if old != nil && !e.Created.After(old.Created) {
		e.Created = old.Created.Add(time.Millisecond)
	}
	if err := e.derive(); err != nil {
		return Info{}, err
	}
	for _, other := range s.keys {
		if other.SM2 != nil && other.ID != e.ID && other.SM2.Equal(e.SM2) {
			return Info{}, fmt.Errorf("%w: the store has it as a %s key", ErrKeyUse, other.Usage)
		}
	}
	same := s.keys[e.ID]
	switch {
	case same != nil && same == old:
		e.Created, e.Chain = same.Created, same.Chain
	case same != nil:
		return Info{}, fmt.Errorf("%w: it was here before and is retired, or belongs to another", ErrExists)
	case old != nil && !d.Replace:
		return Info{}, ErrExists
	}
	if len(d.Chain) > 0 {
		e.Chain = pki.DER(d.Chain...)
	}
	if err := s.write(e); err != nil {
		return Info{}, err
	}
	if old != nil && same == nil {
		return e.Info, s.retire(old)
	}
	return e.Info, nil
}

// check refuses purposes whose names do not fit a file's.
func (p Purpose) check() error {
	if !usageForm.MatchString(p.Usage) || !ownerForm.MatchString(p.Owner) {
		return fmt.Errorf("usage %q or owner %q is not of the allowed form", p.Usage, p.Owner)
	}
	return nil
}
