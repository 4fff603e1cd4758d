package remote

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// Flags are the flags of a command that sends requests.
type Flags struct {
	// Who is asked ("judge"), and the environment variables of the addresses and
	// of the key. Set them before Register.
	Who, EnvURL, EnvKey string

	URLs      string // addresses between commas
	cfg       Config
	connect   time.Duration
	firstByte time.Duration
}

// FlagNames are the names of the flags that [Flags.Register] registers.
// PlumbingNames are those among them that say where requests go and how fast:
// they stay out of the history.
var (
	FlagNames     = append([]string{"tries"}, PlumbingNames...)
	PlumbingNames = []string{"url", "ca", "concurrency", "timeout", "connect-timeout", "first-byte-timeout"}
)

// FlagUsage is what usage texts say of the flags but --url, whose servers
// differ.
const FlagUsage = `  --tries N                 most requests for one answer (3)
  --concurrency N           most requests in flight; fewer while servers are
                            overloaded (64)
  --timeout D               of one request and its whole answer (120s)
  --connect-timeout D       to reach a server (10s)
  --first-byte-timeout D    until an answer begins; 0: as --timeout (0s)
  --ca FILE                 trust the certificates in FILE beside the system's
`

// Register adds the flags to set.
func (f *Flags) Register(set *flag.FlagSet) {
	set.StringVar(&f.URLs, "url", "", "")
	set.StringVar(&f.cfg.CAFile, "ca", "", "")
	set.IntVar(&f.cfg.Concurrency, "concurrency", 64, "")
	set.IntVar(&f.cfg.Tries, "tries", 3, "")
	set.DurationVar(&f.cfg.Total, "timeout", 120*time.Second, "")
	set.DurationVar(&f.connect, "connect-timeout", 10*time.Second, "")
	set.DurationVar(&f.firstByte, "first-byte-timeout", 0, "")
}

// Config checks the flags and takes from the environment what they leave open.
// Its errors are of type [*UsageError].
func (f *Flags) Config() (Config, error) {
	c := f.cfg
	c.Key, c.KeyFrom = os.Getenv(f.EnvKey), "$"+f.EnvKey
	c.Connect, c.FirstByte = f.connect, f.firstByte
	list := f.URLs
	if list == "" {
		list = os.Getenv(f.EnvURL)
	}
	c.URLs = strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case len(c.URLs) == 0:
		return c, &UsageError{"no address of a " + f.Who, "give --url or set $" + f.EnvURL}
	case c.Tries < 1 || c.Concurrency < 1:
		return c, &UsageError{"--tries and --concurrency are 1 or more", ""}
	case c.Total <= 0:
		return c, &UsageError{fmt.Sprintf("--timeout is above 0, not %v", c.Total), ""}
	case c.Connect <= 0:
		return c, &UsageError{fmt.Sprintf("--connect-timeout is above 0, not %v", c.Connect), ""}
	case c.FirstByte < 0:
		return c, &UsageError{fmt.Sprintf("--first-byte-timeout is 0 (none) or more, not %v", c.FirstByte), ""}
	}
	return c, nil
}

// UsageError is a flag that makes no sense, with a hint where one helps.
type UsageError struct{ Text, Advice string }

func (e *UsageError) Error() string { return e.Text }

// Hint says what to do; empty where the error says it.
func (e *UsageError) Hint() string { return e.Advice }

// ExitCode is that of misuse.
func (e *UsageError) ExitCode() int { return 2 }
