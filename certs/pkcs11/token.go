package pkcs11

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a token. Label or Serial is required, and one source of the PIN.
type Config struct {
	// Label and Serial name the token, wherever it is plugged in. Both must fit where both are given.
	Label, Serial string
	// PINFile is a file that holds the PIN and perhaps a line feed; mode 0600. PINEnv names an environment variable instead.
	PINFile, PINEnv string
	// Sessions is how many signatures are made at a time; zero means 4. What a device allows stands in its manual.
	Sessions int
	// Wait bounds every operation, the wait for a session included; zero means 5 s. A context may bound it further.
	Wait time.Duration
}

// Token is an open token. It is safe for concurrent use.
type Token struct {
	module *Module
	config Config
	pool   chan *session
	closed chan struct{}
	once   sync.Once

	generation atomic.Uint64 // raised when the token was lost: sessions and handles of before are worth nothing

	login   sync.Mutex // held while a session logs in
	refused [32]byte   // digest of the PIN that the token refused; protected by login
	wrong   bool       // a PIN was refused; protected by login
}

// session is a place in the pool, with a session of the module in it or none yet. One goroutine has it at a time.
type session struct {
	token      *Token
	handle     uint64
	generation uint64
}

// Open finds the token and logs into it. A token that is not there is fs.ErrNotExist.
func (m *Module) Open(ctx context.Context, c Config) (*Token, error) {
	if c.Label == "" && c.Serial == "" {
		return nil, errors.New("open token: neither label nor serial is given")
	}
	if (c.PINFile == "") == (c.PINEnv == "") {
		return nil, errors.New("open token: the pin comes from a file or from the environment, one of the two")
	}
	if c.Sessions <= 0 {
		c.Sessions = 4
	}
	if c.Wait <= 0 {
		c.Wait = 5 * time.Second
	}
	t := &Token{module: m, config: c, pool: make(chan *session, c.Sessions), closed: make(chan struct{})}
	for range c.Sessions {
		t.pool <- &session{token: t}
	}
	if _, err := do(ctx, t, func(*session) (struct{}, error) { return struct{}{}, nil }); err != nil {
		return nil, fmt.Errorf("open token: %w", err)
	}
	return t, nil
}

// Close closes the sessions, and with the last of them the login. Operations that run are waited for, up to Wait.
func (t *Token) Close() error {
	var err error
	t.once.Do(func() {
		close(t.closed)
		late := time.NewTimer(t.config.Wait)
		defer late.Stop()
		for range t.config.Sessions {
			select {
			case s := <-t.pool:
				s.end()
			case <-late.C:
				err = fmt.Errorf("close token: %w", ErrBusy)
				return
			}
		}
	})
	return err
}

// do runs op with a session, and once more with a new one when the session turns out to be lost. When the wait is over it
// returns; op may go on in the device, and its session comes back when it ends.
func do[T any](ctx context.Context, t *Token, op func(*session) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, t.config.Wait)
	defer cancel()
	result, err := once(ctx, t, op)
	if err != nil && lost(err) {
		return once(ctx, t, op)
	}
	return result, err
}

func once[T any](ctx context.Context, t *Token, op func(*session) (T, error)) (result T, err error) {
	var s *session
	select {
	case <-t.closed:
		return result, ErrClosed
	default:
	}
	select {
	case s = <-t.pool:
	case <-t.closed:
		return result, ErrClosed
	case <-ctx.Done():
		return result, late(ctx)
	}
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		if o.err = s.ready(); o.err == nil {
			o.result, o.err = op(s)
		}
		if lost(o.err) {
			t.generation.CompareAndSwap(s.generation, s.generation+1)
		}
		t.pool <- s
		done <- o
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		return result, late(ctx)
	}
}

// late is the error of a wait that is over: the caller's own reason where it has one.
func late(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
}

// ready makes sure that s is open and logged in, under the present generation.
func (s *session) ready() error {
	now := s.token.generation.Load()
	if s.handle != invalidHandle && s.generation == now {
		return nil
	}
	s.end()
	s.generation = now
	slot, err := s.token.slot()
	if err != nil {
		return err
	}
	var f frame
	defer f.Unpin()
	handle := new(uint64)
	if err := s.token.module.call(fnOpenSession, uintptr(slot), flagSerialSession, 0, 0, at(&f, handle)); err != nil {
		return err
	}
	s.handle = *handle
	if err := s.token.logIn(s); err != nil {
		s.end()
		return err
	}
	return nil
}

// end closes s if it is open. That the module does not know it any more is no matter.
func (s *session) end() {
	if s.handle != invalidHandle {
		_ = s.token.module.call(fnCloseSession, uintptr(s.handle))
		s.handle = invalidHandle
	}
}

// call calls a function whose first argument is the session.
func (s *session) call(name function, args ...uintptr) error {
	return s.token.module.call(name, append([]uintptr{uintptr(s.handle)}, args...)...)
}

// tokenInfo is CK_TOKEN_INFO. Texts are padded with blanks.
type tokenInfo struct {
	label  [32]byte
	_      [48]byte // manufacturer and model
	serial [16]byte
	_      [11]uint64 // flags, and numbers that nobody here reads
	_      [24]byte   // versions, time, padding
}

// slot finds where the token is now: fs.ErrNotExist when it is nowhere.
func (t *Token) slot() (uint64, error) {
	var f frame
	defer f.Unpin()
	slots, count := new([maxSlots]uint64), new(uint64)
	*count = maxSlots
	if err := t.module.call(fnGetSlotList, 1, at(&f, &slots[0]), at(&f, count)); err != nil {
		return 0, err
	}
	var found []uint64
	for _, slot := range slots[:min(*count, maxSlots)] {
		info := new(tokenInfo)
		if err := t.module.call(fnGetTokenInfo, uintptr(slot), at(&f, info)); err != nil {
			continue // another token's trouble
		}
		if fits(t.config.Label, info.label[:]) && fits(t.config.Serial, info.serial[:]) {
			found = append(found, slot)
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("find token: %w", fs.ErrNotExist)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("find token: %w", ErrAmbiguous)
}

func fits(want string, padded []byte) bool {
	return want == "" || want == strings.TrimRight(string(padded), " \x00")
}

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
