package matrix_test

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

const (
	organization = "示例市市场监督管理局"
	uscc         = "11330000MB0000001X"
)

var (
	content = []byte("What is signed. 签名的内容。\n")
	at      = certstest.Epoch.Add(time.Hour) // when everything here happens
)

func now() time.Time { return at }

// A city is our side, and Bouncy Castle beside it.
type city struct {
	*certstest.World
	bc  *castle // nil where there is none
	key *sm.PrivateKey
	d   []byte // of key
}

func newCity(t *testing.T) *city {
	c := &city{World: certstest.New(t, "interop"), bc: newCastle(t)}
	var err error
	c.key, err = sm.ParsePrivateKey(big.NewInt(0).SetBytes([]byte("thirty-two bytes of a throw-away")).FillBytes(make([]byte, 32)))
	must(t, err)
	c.d = sm.PrivateBytes(c.key)
	return c
}

func (c *city) point() []byte { return sm.MarshalPoint(&c.key.PublicKey) }

func (c *city) signer(t *testing.T) sm.Signer {
	t.Helper()
	s, err := sm.NewSigner("key", c.key, rand.Reader)
	must(t, err)
	return s
}

// theirs is an authority of Bouncy Castle's, of two levels, with one certificate below.
type theirs struct{ root, sub, leaf, subKey, leafKey []byte }

func (c *city) theirs(t *testing.T, usage string) (x theirs) {
	t.Helper()
	r := c.bc.demand(t, "root", at.Unix())
	s := c.bc.demand(t, "issue", at.Unix(), "ca", r[0], r[1])
	l := c.bc.demand(t, "issue", at.Unix(), usage, s[0], s[1])
	return theirs{r[0], s[0], l[0], s[1], l[1]}
}

// trust trusts one root.
func trust(root []byte) (*pki.Verifier, error) {
	anchor, err := pki.Parse(root)
	if err != nil {
		return nil, err
	}
	return pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{anchor}})
}

// demandSteps is an error unless none failed and the named ones are ok.
func demandSteps(steps []check.Step, names ...string) error {
	ok := make(map[string]bool)
	for _, s := range steps {
		if s.State == check.Failed {
			return fmt.Errorf("%s: %s", s.Name, s.Reason)
		}
		ok[s.Name] = s.State == check.OK
	}
	if i := slices.IndexFunc(names, func(n string) bool { return !ok[n] }); i >= 0 {
		return fmt.Errorf("%s is not ok", names[i])
	}
	return nil
}

// differ is an error unless two values are the same.
func differ(got, want []byte) error {
	if string(got) != string(want) {
		return fmt.Errorf("%.40x, not %.40x", got, want)
	}
	return nil
}

// code sets program text in the table.
func code(s ...string) string { return "`" + strings.Join(s, "`, `") + "`" }
