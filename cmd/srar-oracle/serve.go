package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"srar/lib/stream"
)

// announce tells where the server listens.
func announce(stdout io.Writer, file string, a *net.TCPAddr) error {
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	url := "http://" + net.JoinHostPort(host, strconv.Itoa(a.Port)) + "/v1\n"
	if file != "" {
		return stream.WriteFile(file, []byte(url))
	}
	_, err := io.WriteString(stdout, url)
	return err
}

// serve answers until ctx is done, and returns its cause, or nil where that is
// the end of standard input.
func (s *server) serve(ctx context.Context, l net.Listener, warn func(string, ...any)) error {
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	h := &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return stopping },
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(warner(warn), "", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop() // replies that wait for their delay do not keep us
	// Shorter than the moment that the frame grants an interrupted command.
	last, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if h.Shutdown(last) != nil {
		h.Close() // a client keeps its connection busy; it sees that close
	}
	if err := context.Cause(ctx); err != io.EOF {
		return err
	}
	return nil
}

// warner is a log writer that warns.
type warner func(format string, a ...any)

func (w warner) Write(line []byte) (int, error) {
	w("%s", bytes.TrimSpace(line))
	return len(line), nil
}

// summary says what the server did.
func (s *server) summary() string {
	return fmt.Sprintf("%d verdicts and %d marks given, %d requests refused, %d replies spoiled on purpose",
		s.verdicts.Load(), s.marks.Load(), s.refused.Load(), s.spoiled.Load())
}
