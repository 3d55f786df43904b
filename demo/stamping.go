package demo

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/install"
)

// stampingPolicy is what the demo's tokens are made by: a number below 2.999, which is for examples.
var stampingPolicy = asn1.ObjectIdentifier{2, 999, 1}

// stampingURL matches the authority in the configuration; it is commented out until the demo has one.
var stampingURL = regexp.MustCompile(`(?m)^#? ?timestamp: \{url: "http://([0-9.]+:[0-9]+)/"`)

// stampingAddress writes a free address for the time-stamping authority into the configuration, and returns it.
func stampingAddress(name string) (string, error) {
	address, err := addressIn(name, stampingURL)
	if err != nil {
		return "", err
	}
	free, err := freeAddress(address)
	if err != nil {
		return "", err
	}
	if err := replaceIn(name, `# timestamp: {url: "http://`, `timestamp: {url: "http://`); err != nil {
		return "", err
	}
	return free, replaceIn(name, address, free)
}

// openStamping starts the city's time-stamping authority (时间戳服务器), certified by the same authority as everybody.
func (st *stage) openStamping(ctx context.Context) error {
	authority, err := st.stampingAuthority(ctx)
	if err != nil {
		return fmt.Errorf("start time-stamping authority: %w", err)
	}
	listener, err := st.listenForStamping()
	if err != nil {
		return fmt.Errorf("start time-stamping authority: %w", err)
	}
	st.stamper = &http.Server{Handler: authority, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := st.stamper.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			st.failed <- fmt.Errorf("the time-stamping authority stopped: %w", err)
		}
	}()
	return nil
}

// listenForStamping listens at the configured address, and retries with other ports when it was taken in the meantime (EADDRINUSE).
func (st *stage) listenForStamping() (l net.Listener, err error) {
	for range 5 {
		if l, err = net.Listen("tcp", st.stamping); !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
		if st.stamping, err = stampingAddress(st.mainFile()); err != nil {
			return nil, err
		}
	}
	return nil, err
}

func (st *stage) stampingAuthority(ctx context.Context) (*tsa.Authority, error) {
	phrase, err := os.ReadFile(st.setup.Config.Keys.PassphraseFile)
	if err != nil {
		return nil, err
	}
	phrase = []byte(strings.TrimRight(string(phrase), "\r\n"))
	keys, err := keystore.Config{Dir: st.path("city", "timestamp"), Passphrase: phrase, Cost: cost}.Open()
	if err != nil {
		return nil, err
	}
	k, err := keys.Ensure(keystore.Purpose{Usage: pki.TimeStamp, Algorithm: keystore.SM2})
	if err != nil {
		return nil, err
	}
	if len(k.Chain) == 0 {
		ca, err := install.NewAuthority(ctx, install.AuthorityConfig{Dir: filepath.Join(filepath.Dir(st.mainFile()), install.CAFolder), Passphrase: phrase, Cost: cost})
		if err != nil {
			return nil, err
		}
		chain, err := ca.Issue(ctx, pki.Request{Organization: "云川市时间戳服务中心", USCC: "11379901MB9915186R", Usage: pki.TimeStamp, CommonName: "云川市时间戳服务", Public: k.SM2})
		if err != nil {
			return nil, err
		}
		k.Chain = pki.DER(chain...)
		if err := keys.SetChain(k.ID, k.Chain); err != nil {
			return nil, err
		}
	}
	chain, err := pki.ParseChain(k.Chain)
	if err != nil {
		return nil, err
	}
	signer, err := keys.SignerByID(k.ID)
	if err != nil {
		return nil, err
	}
	return tsa.New(tsa.Config{Signer: signer, Chain: chain, Policy: stampingPolicy, Dialect: cms.RFC})
}
