package pkcs11

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/emmansun/gmsm/sm2"

	"oncegate/certs/sm"
)

// Numbers of a vendor that there is not.
const (
	vendorKeyType   = 0x80000002
	vendorMechanism = 0x80000105
)

// device is a token with an SM2 key that stands behind real C function pointers: what it is called with went through the
// interface's own structures. It can be taken out, hang, and lie.
type device struct {
	t    *testing.T
	list functionList

	mu       sync.Mutex // protects all below
	present  bool
	pin      string
	logins   int // tries
	loggedIn bool
	sessions map[uint64]*deviceSession
	next     uint64
	base     uint64 // of object handles; moves when the token is put in again
	key      *sm.PrivateKey
	twins    int // further keys of the same name
	profile  SM2Profile
	noLock   bool
	hang     chan struct{} // while not nil, C_Sign waits for it
	closeAll bool          // the next C_Sign finds its session gone
	lie      func(data []byte) (sig []byte, length uint64)
	point    []byte // in place of the key's
	pointLen uint64 // in place of its length

	inside, most int // threads in C_Sign now, and at most
	signs        int
}

type deviceSession struct {
	found []uint64
	sign  bool
}

func newDevice(t *testing.T, p SM2Profile) *device {
	t.Helper()
	key, err := sm.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, present: true, pin: "1234", sessions: make(map[uint64]*deviceSession), base: 100, key: key, profile: p}
	d.list.major = 2
	for name, fn := range map[function]any{
		fnInitialize: d.initialize, fnFinalize: func(uintptr) uintptr { return rvOK }, fnGetSlotList: d.slots, fnGetTokenInfo: d.info,
		fnOpenSession: d.open, fnCloseSession: d.close, fnLogin: d.login, fnGetAttributeValue: d.attribute, fnFindObjectsInit: d.findInit,
		fnFindObjects: d.find, fnFindObjectsFinal: func(uintptr) uintptr { return rvOK }, fnSignInit: d.signInit, fnSign: d.sign,
	} {
		d.list.fn[name] = purego.NewCallback(fn)
	}
	return d
}

// module is the device as a loaded library.
func (d *device) module() *Module {
	d.t.Helper()
	m := &Module{list: &d.list, invoke: invoke, unload: func() {}}
	if err := m.initialize(); err != nil {
		d.t.Fatal(err)
	}
	return m
}

// open is a token of the device, with a PIN file whose content the test may change.
func (d *device) token(pin string, change func(*Config)) (*Token, string, error) {
	d.t.Helper()
	name := filepath.Join(d.t.TempDir(), "pin")
	if err := os.WriteFile(name, []byte(pin+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	c := Config{Label: "seals", PINFile: name}
	if change != nil {
		change(&c)
	}
	t, err := d.module().Open(d.t.Context(), c)
	if err == nil {
		d.t.Cleanup(func() { t.Close() })
	}
	return t, name, err
}

// at is what C calls a pointer.
func to[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

func memory(address uintptr, n uintptr) []byte { return unsafe.Slice(to[byte](address), n) }

func (d *device) do(f func()) { d.mu.Lock(); defer d.mu.Unlock(); f() }

// takeOut loses sessions and login, as the standard says.
func (d *device) takeOut() {
	d.do(func() { d.present, d.loggedIn, d.sessions = false, false, make(map[uint64]*deviceSession) })
}

// putIn makes the token be there again, with other handles.
func (d *device) putIn() { d.do(func() { d.present = true; d.base += 1000 }) }

func (d *device) initialize(args uintptr) uintptr {
	if d.noLock && args != 0 && to[initArgs](args).flags&flagOSLocking != 0 {
		return rvCantLock
	}
	return rvOK
}

func (d *device) slots(_, list, count uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	*to[uint64](count) = 0
	if d.present {
		*to[uint64](list), *to[uint64](count) = 7, 1
	}
	return rvOK
}

func (d *device) info(slot, info uintptr) uintptr {
	i := to[tokenInfo](info)
	copy(i.label[:], "seals                                        ")
	copy(i.serial[:], "A-1                      ")
	return rvOK
}

func (d *device) open(slot, flags, _, _, handle uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.present || slot != 7 {
		return rvTokenNotPresent
	}
	d.next++
	d.sessions[d.next] = new(deviceSession)
	*to[uint64](handle) = d.next
	return rvOK
}

func (d *device) close(h uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[uint64(h)] == nil {
		return rvSessionHandleInvalid
	}
	if delete(d.sessions, uint64(h)); len(d.sessions) == 0 {
		d.loggedIn = false
	}
	return rvOK
}

func (d *device) login(h, user, pin, length uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.sessions[uint64(h)] == nil:
		return rvSessionHandleInvalid
	case d.loggedIn:
		return rvUserAlreadyLoggedIn
	}
	d.logins++
	if string(memory(pin, length)) != d.pin {
		return rvPINIncorrect
	}
	d.loggedIn = true
	return rvOK
}

func (d *device) findInit(h, template, n uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[uint64(h)]
	if s == nil {
		return rvSessionHandleInvalid
	}
	s.found = nil
	var class uint64
	for _, a := range unsafe.Slice(to[attribute](template), n) {
		value := memory(a.value, uintptr(a.length))
		switch {
		case a.kind == attrClass:
			class = binary.NativeEndian.Uint64(value)
		case a.kind == attrLabel && string(value) != "license", a.kind == attrID && string(value) != "\x01":
			return rvOK
		}
	}
	for i := range d.twins + 1 {
		s.found = append(s.found, d.base+10*uint64(i)+class)
	}
	return rvOK
}

func (d *device) find(h, out, most, count uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[uint64(h)]
	if s == nil {
		return rvSessionHandleInvalid
	}
	*to[uint64](count) = uint64(copy(unsafe.Slice(to[uint64](out), most), s.found))
	return rvOK
}

func (d *device) attribute(h, object, template, n uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if uint64(object) != d.base+classPublicKey {
		return rvObjectHandleInvalid
	}
	a := to[attribute](template)
	var value []byte
	switch a.kind {
	case attrKeyType:
		value = number(uint64(d.profile.KeyType))
	case attrECPoint:
		value = sm.MarshalPoint(&d.key.PublicKey)
		switch d.profile.Point {
		case "xy":
			value = value[1:]
		case "octet-string":
			value, _ = asn1.Marshal(value)
		}
		if d.point != nil {
			value = d.point
		}
	}
	if a.value != 0 && a.length >= uint64(len(value)) {
		copy(memory(a.value, uintptr(a.length)), value)
	}
	a.length = uint64(len(value))
	if a.kind == attrECPoint && d.pointLen != 0 {
		a.length = d.pointLen
	}
	return rvOK
}

func (d *device) signInit(h, m, key uintptr) uintptr {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[uint64(h)]
	switch {
	case s == nil:
		return rvSessionHandleInvalid
	case !d.loggedIn:
		return rvUserNotLoggedIn
	case uint64(key) != d.base+classPrivateKey:
		return rvKeyHandleInvalid
	case to[mechanism](m).kind != uint64(d.profile.Mechanism):
		return rvMechanismInvalid
	case s.sign:
		return rvOperationActive
	}
	s.sign = true
	return rvOK
}

func (d *device) sign(h, data, n, out, length uintptr) uintptr {
	d.mu.Lock()
	d.inside++
	d.most = max(d.most, d.inside)
	hang := d.hang
	if d.closeAll {
		d.closeAll, d.loggedIn, d.sessions = false, false, make(map[uint64]*deviceSession)
	}
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	input := memory(data, n)
	sig, size := d.signature(input)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	s := d.sessions[uint64(h)]
	if s == nil {
		return rvSessionHandleInvalid
	}
	s.sign = false
	d.signs++
	copy(memory(out, uintptr(*to[uint64](length))), sig)
	*to[uint64](length) = size
	return rvOK
}

func (d *device) signature(input []byte) ([]byte, uint64) {
	if d.lie != nil {
		return d.lie(input)
	}
	e := input
	if d.profile.Input == "message" {
		e, _ = sm2.CalculateSM2Hash(&d.key.PublicKey, input, []byte(sm.UserID))
	}
	der, err := sm2.SignASN1(rand.Reader, d.key, e, nil)
	if err != nil {
		d.t.Error(err)
	}
	if d.profile.Signature == "raw" {
		der, _ = sm.DERToRaw(der)
	}
	return der, uint64(len(der))
}

// ecdsaRaw is ECDSA over the SM2 curve: what a device makes that knows the curve and not the algorithm.
func (d *device) ecdsaRaw(e []byte) ([]byte, uint64) {
	key := &ecdsa.PrivateKey{PublicKey: d.key.PublicKey, D: d.key.D} //nolint:staticcheck // the curve is no NIST curve
	n := key.Curve.Params().N
	k := big.NewInt(12345)
	x, _ := key.Curve.ScalarBaseMult(k.Bytes())
	s := new(big.Int).Mul(x, key.D)
	s.Add(s, new(big.Int).SetBytes(e)).Mul(s, new(big.Int).ModInverse(k, n)).Mod(s, n)
	return append(x.Mod(x, n).FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), 64
}
