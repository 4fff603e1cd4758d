package trial

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Oracle is a running srar-oracle.
type Oracle struct {
	*exec.Cmd
	URL   string        // base address
	Hold  io.Closer     // its standard input: it ends when that is closed
	Voice *bytes.Buffer // its standard error, to be read after Wait
}

// Serve starts srar-oracle. It lives until Hold is closed, and not longer than
// the test binary.
func Serve(t testing.TB, args ...string) *Oracle {
	t.Helper()
	o := &Oracle{Voice: &bytes.Buffer{}}
	o.Cmd = Process{Args: append([]string{"srar-oracle", "--until-eof"}, args...)}.Command(context.Background())
	o.Stderr = o.Voice
	hold, err := o.StdinPipe()
	require.NoError(t, err)
	o.Hold = hold
	out, err := o.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, o.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		o.Close()
		require.NoError(t, err, "srar-oracle does not say where it listens: %s", o.Voice)
	}
	o.URL = strings.TrimSuffix(line, "\n")
	return o
}

// Close ends the oracle and waits for its end, in whatever way that comes.
func (o *Oracle) Close() {
	o.Hold.Close()
	o.Wait()
}
