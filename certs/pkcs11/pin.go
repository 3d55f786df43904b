package pkcs11

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
)

const maxPIN = 255

// logIn logs the token in through s; the other sessions are then logged in too. A PIN that was refused is not given again
// until it is another one: most tokens lock after three.
func (t *Token) logIn(s *session) error {
	t.login.Lock()
	defer t.login.Unlock()
	pin, err := t.pin()
	if err != nil {
		return err
	}
	defer clear(pin)
	digest := sha256.Sum256(pin)
	if t.wrong && digest == t.refused {
		return fmt.Errorf("log in: %w", ErrPIN)
	}
	var f frame
	defer f.Unpin()
	err = s.call(fnLogin, userTypeUser, f.bytes(pin), uintptr(len(pin)))
	if e, ok := errors.AsType[*Error](err); ok && e.Value == rvUserAlreadyLoggedIn {
		return nil
	}
	t.wrong, t.refused = errors.Is(err, ErrPIN), digest
	return err
}

// pin reads the PIN anew each time, so that it can be changed while the program runs, and is not kept.
func (t *Token) pin() ([]byte, error) {
	if name := t.config.PINEnv; name != "" {
		if pin := os.Getenv(name); pin != "" && len(pin) <= maxPIN {
			return []byte(pin), nil
		}
		return nil, fmt.Errorf("read the pin: the environment variable %s is empty or too long", name)
	}
	info, err := os.Stat(t.config.PINFile)
	if err != nil {
		return nil, fmt.Errorf("read the pin: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read the pin: %s is readable by others, or no file: want mode 0600", t.config.PINFile)
	}
	if info.Size() > maxPIN+2 {
		return nil, fmt.Errorf("read the pin: %s is too long", t.config.PINFile)
	}
	text, err := os.ReadFile(t.config.PINFile)
	if err != nil {
		return nil, fmt.Errorf("read the pin: %w", err)
	}
	pin := bytes.TrimRight(text, "\r\n")
	if len(pin) == 0 {
		return nil, fmt.Errorf("read the pin: %s is empty", t.config.PINFile)
	}
	return pin, nil
}
