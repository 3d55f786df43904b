package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serverCertificate writes a certificate for loopback and its key into the installation, and returns who is to be trusted.
func (in *installation) serverCertificate(serial int64) *x509.CertPool {
	in.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	in.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gateway"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	in.must(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	in.must(err)
	in.must(os.MkdirAll(in.path("tls"), 0o700))
	in.must(os.WriteFile(in.path("tls", "gateway.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	in.must(os.WriteFile(in.path("tls", "gateway.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	cert, err := x509.ParseCertificate(der)
	in.must(err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

// TestTLS serves by a certificate from files: calls go through, under HTTP/2 too; who does not know the certificate, speaks an old
// version or plain HTTP does not get in, and fills no log; a new certificate is taken over without a restart.
func TestTLS(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	pool := in.serverCertificate(1)
	in.edit("public_url: http://", "public_url: https://", "# tls: {certificate: tls/gateway.pem", "tls: {certificate: tls/gateway.pem")
	p := in.start()
	c := in.callers()
	dial := func(config *tls.Config) *http.Transport {
		over := p.transport()
		over.TLSClientConfig, over.ForceAttemptHTTP2 = config, true
		return over
	}
	call := func(over http.RoundTripper) error {
		compact := strings.Replace(publicURL, "http://", "https://", 1)
		r, err := http.NewRequest("GET", compact+matters, nil)
		in.must(err)
		r.Header.Set("Authorization", "Bearer "+c.signAt(compact, "acceptance", "GET", matters))
		res, err := over.RoundTrip(r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if res.StatusCode != 200 || res.ProtoMajor != 2 {
			t.Errorf("answered %s %d: %s", res.Proto, res.StatusCode, body)
		}
		return err
	}
	if err := call(dial(&tls.Config{RootCAs: pool})); err != nil {
		t.Error(err)
	}
	if err := call(dial(&tls.Config{})); err == nil {
		t.Error("a certificate that nobody knows was trusted")
	}
	if err := call(dial(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})); err == nil {
		t.Error("TLS 1.1 was served")
	}
	size := p.figure("oncegate_log_size")
	plain := p.say(request(c, "GET", matters, "", ""), false)
	if len(plain) > 0 && plain[0].status != 400 || p.figure("oncegate_log_size") != size {
		t.Errorf("plain HTTP was answered %+v", plain)
	}
	in.failedHandshakes(p)

	renewed := in.serverCertificate(2)
	p.cmd.Process.Signal(syscall.SIGHUP)
	await(t, "the new certificate is served", soon, func() bool {
		conn, err := tls.Dial("tcp", p.addr, &tls.Config{RootCAs: renewed})
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
	})
	p.stop()
}

// failedHandshakes has many peers fail at the handshake: each costs a line, which somebody could fill the log with.
func (in *installation) failedHandshakes(p *process) {
	in.t.Helper()
	before, begun := p.logs.lines(), time.Now()
	var peers sync.WaitGroup
	for range 4 {
		peers.Go(func() {
			for range 100 {
				conn, err := net.Dial("tcp", p.addr)
				if err != nil {
					in.t.Error(err)
					return
				}
				io.WriteString(conn, "\x16\x03\x01\x00\x05hello")
				io.Copy(io.Discard, conn)
				conn.Close()
			}
		})
	}
	peers.Wait()
	bound := 12 * (int(time.Since(begun)/time.Second) + 2)
	if got := p.logs.lines() - before; got == 0 || got > bound {
		in.t.Errorf("400 failed handshakes left %d lines, at most %d are bearable", got, bound)
	}
}

// TestPlainHTTP refuses plain HTTP off this machine, unless a proxy is said to terminate TLS, and the admin listener wherever others
// could reach it.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:8420", "gateway.example:8420"} {
		in.edit("listen: 127.0.0.1:0", "listen: '"+address+"'")
		in.refuses("plain HTTP is served on loopback only")
		in.edit("listen: '"+address+"'", "listen: 127.0.0.1:0")
	}
	in.edit("admin: 127.0.0.1:0", "admin: 0.0.0.0:0")
	in.refuses("admin listener is for loopback only")
	in.edit("admin: 0.0.0.0:0", "admin: 127.0.0.1:0", "public_url: http://127.0.0.1", "public_url: http://192.0.2.1")
	in.refuses("https")
	in.edit("public_url: http://192.0.2.1", "public_url: http://127.0.0.1", "  listen: 127.0.0.1:0", "  behind_tls: true\n  listen: 0.0.0.0:0")
	in.start().stop()
}
