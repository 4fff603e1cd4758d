package remote

import (
	"net/http"
	"time"
)

// The classes of failure. Those of HTTP are "http NNN".
const (
	ClassTimeout  = "timeout"  // no complete exchange in time
	ClassNetwork  = "network"  // refused, reset, closed, cut; TLS
	ClassResponse = "response" // status 2xx, but not what was asked for
)

// Error is why one request has failed.
type Error struct {
	Class  string // "timeout", "network", "response", "http 503"
	Detail string // one line, never empty
	Status int    // of the last response; 0 where there was none
	Body   []byte // of the last response, without the key; nil where it did not come whole
	Server int    // that failed last: its number in Config.URLs
	Tries  int    // exchanges

	after time.Duration // that the server asks to wait, -1: not said
	tls   bool          // the two sides do not trust each other
}

func (e *Error) Error() string { return e.Class + ": " + e.Detail }

// passes says whether the cause may be gone at the next try.
func (e *Error) passes() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return !e.tls && (e.Status < 300 || e.Status >= 500 || e.Class == ClassTimeout || e.Class == ClassNetwork)
}

// refuses says whether the server may refuse every request like this one.
func (e *Error) refuses() bool {
	return e.final() || e.Status == http.StatusForbidden || e.Status == http.StatusNotFound
}

// final says that it does.
func (e *Error) final() bool { return e.tls || e.Status == http.StatusUnauthorized }

// Refused is the error of every request once no server lets us in: status 401,
// TLS that fails, or 403 or 404 from a server that has not served anything.
type Refused struct {
	Cause *Error // of the server that was last to refuse
	Host  string // that server
	pass
}

// pass is the key as users know it.
type pass struct {
	given bool
	from  string // where they set it
}

func (e *Refused) Error() string { return e.Host + ": " + e.Cause.Error() }

// Unwrap returns the Cause.
func (e *Refused) Unwrap() error { return e.Cause }

// Hint says what to do.
func (e *Refused) Hint() string {
	switch {
	case e.Cause.tls:
		return "check that the address begins with the right one of http and https; --ca FILE trusts a private authority"
	case e.Cause.Status == http.StatusNotFound:
		return "check the name of the model, and the address, which usually ends in /v1"
	case e.given:
		return "check the key in " + e.from
	}
	return "set " + e.from
}
