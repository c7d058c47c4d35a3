package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// NetError says in a few words, without secrets, what went wrong on the network.
type NetError struct {
	text string
	hint string
	err  error
}

func (e *NetError) Error() string { return e.text }

// Unwrap gives the original error.
func (e *NetError) Unwrap() error { return e.err }

// Hint says what to do. It is "" when there is no advice.
func (e *NetError) Hint() string { return e.hint }

func (c *Client) netError(err error) error {
	return &NetError{c.Clean(plainNetError(err)), netHint(err), err}
}

// netHint says what to do about a failure on the network. It is "" when there is no advice.
func netHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "the server's certificate was issued by an authority that this machine does not know: " +
			"set SSL_CERT_FILE to a file with that authority's certificate"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid now, or not for this use: check its dates, and this machine's clock"
	case errors.As(err, &name):
		return "the server's certificate is for another host name: use that name in the URL"
	case errors.As(err, &plain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server does not speak TLS: use http:// in the URL"
	case strings.Contains(err.Error(), "malformed HTTP response"):
		return "the answer is not HTTP; does the server want https:// in the URL?"
	case strings.Contains(err.Error(), "TLS handshake timeout"):
		return "the server does not answer with TLS; does it want http:// in the URL?"
	}
	return ""
}

// plainNetError says in a few words what went wrong on the network.
func plainNetError(err error) string {
	var dns *net.DNSError
	var ue *url.Error
	switch {
	case errors.As(err, &dns):
		return "host " + dns.Name + " is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset by the server"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the server closed the connection"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &ue):
		err = ue.Err
	}
	return Clip(err.Error())
}

// failure gives the status for an error of the transport. sent says that the whole request was written.
func (c *Client) failure(parent, ctx context.Context, err error, sent bool) Status {
	switch {
	case parent.Err() != nil:
		return StatusInterrupted
	case ctx.Err() != nil:
		return StatusTimeout
	case !sent:
		return StatusRefused
	default:
		return StatusCut
	}
}
