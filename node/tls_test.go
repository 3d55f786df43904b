package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/config"
)

// serverPair writes a self-signed certificate for this machine and returns its serial number.
func (c *city) serverPair() *big.Int {
	c.T.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.T.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		c.T.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "gateway"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		c.T.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.T.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"server.pem": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(c.Dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			c.T.Fatal(err)
		}
	}
	return serial
}

func TestTLS(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "  # tls: {certificate: tls/gateway.pem, key: tls/gateway.key}", "  tls: {certificate: server.pem, key: server.key}", "public_url: http:", "public_url: https:")
	if _, err := Open(t.Context(), c.Main, Options{}); err == nil || !strings.Contains(err.Error(), "server.pem is not there") {
		t.Fatalf("without its certificate: %v", err)
	}
	first := c.serverPair()
	s := c.serve()
	seen := func() *big.Int {
		conn, err := tls.Dial("tcp", s.Addr(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is looked at
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber
	}
	if seen().Cmp(first) != 0 {
		t.Error("another certificate is served")
	}
	if _, err := tls.Dial("tcp", s.Addr(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // refused is meant
		t.Error("TLS 1.1 is spoken")
	}
	res, err := http.Get(fmt.Sprintf("http://%s/openapi.yaml", s.Addr()))
	if err == nil {
		if res.Body.Close(); res.StatusCode == http.StatusOK {
			t.Error("plain HTTP is served beside TLS")
		}
	}
	second := c.serverPair()
	if err := s.Reload(t.Context()); err != nil && err != ErrUnchanged {
		t.Fatal(err)
	}
	if seen().Cmp(second) != 0 {
		t.Error("the new certificate is not served")
	}
}
