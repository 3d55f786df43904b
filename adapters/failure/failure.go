// Package failure classifies why a legacy system could not be reached, for every adapter alike: as a license.SourceError, without the
// text of the error, which may repeat addresses, passwords or rows.
package failure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"oncegate/license"
)

// OfNetwork is what an error of a connection means; nil if it is none that is known.
func OfNetwork(err error) *license.SourceError {
	if e := ofTLS(err); e != nil {
		return e
	}
	var dns *net.DNSError
	var network net.Error
	cause := license.Cause("")
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		cause = license.UnknownHost
	case errors.Is(err, syscall.ECONNREFUSED):
		cause = license.ConnectionRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EHOSTDOWN):
		cause = license.Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		cause = license.TimedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed):
		cause = license.Disconnected
	case errors.As(err, &dns):
		cause = license.UnknownHost
	default:
		return nil
	}
	return &license.SourceError{Cause: cause}
}

// ofTLS is what an error of a TLS handshake means. Names in certificates are whatever their owners wrote and are left out.
func ofTLS(err error) *license.SourceError {
	var noTLS tls.RecordHeaderError
	var alert tls.AlertError
	var untrusted *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	detail := ""
	switch {
	case errors.As(err, &host):
		detail = "the certificate is for another host name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		detail = "the certificate has expired or is not valid yet"
	case errors.As(err, &authority):
		detail = "the certificate is of no trusted authority"
	case errors.As(err, &untrusted), errors.As(err, &invalid):
		detail = "the certificate is not trusted"
	case errors.As(err, &noTLS), errors.Is(err, http.ErrSchemeMismatch):
		detail = "the system does not speak TLS there"
	case errors.As(err, &alert):
		detail = "the system broke off the handshake"
	default:
		return nil
	}
	return &license.SourceError{Cause: license.TLSFailed, Detail: detail}
}
