package judge

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// Flags are the flags of a command that asks a judge. Errors of its methods
// carry the exit code and perhaps a hint for the user.
type Flags struct {
	Concurrency int

	cfg      Config
	cache    string
	failures float64
}

// FlagNames are the names of the flags that [Flags.Register] registers, and
// PlumbingNames those among them that decide nothing about the rows.
var (
	FlagNames     = []string{"url", "judge-model", "concurrency", "tries", "timeout", "cache", "max-failure-rate"}
	PlumbingNames = []string{"url", "concurrency", "timeout", "cache"}
)

// Register adds the flags to set.
func (f *Flags) Register(set *flag.FlagSet) {
	set.StringVar(&f.cfg.URL, "url", "", "")
	set.StringVar(&f.cfg.Model, "judge-model", "", "")
	set.IntVar(&f.Concurrency, "concurrency", 64, "")
	set.IntVar(&f.cfg.Tries, "tries", 3, "")
	set.DurationVar(&f.cfg.Timeout, "timeout", 120*time.Second, "")
	set.StringVar(&f.cache, "cache", "", "")
	set.Float64Var(&f.failures, "max-failure-rate", 0.1, "")
}

// Connect checks the flags, takes from the environment what they leave open,
// and makes the client.
func (f *Flags) Connect() (*Client, error) {
	c := f.cfg
	c.Concurrency = f.Concurrency
	if c.URL == "" {
		c.URL = os.Getenv(EnvURL)
	}
	if c.Model == "" {
		c.Model = os.Getenv(EnvModel)
	}
	c.Key = os.Getenv(EnvKey)
	switch {
	case c.URL == "":
		return nil, &flagError{"no address of a judge", "give --url or set $" + EnvURL, 2}
	case c.Model == "":
		return nil, &flagError{"no model for the judge", "give --judge-model or set $" + EnvModel, 2}
	case c.Tries < 1 || c.Concurrency < 1:
		return nil, &flagError{"--tries and --concurrency are 1 or more", "", 2}
	case c.Timeout <= 0:
		return nil, &flagError{fmt.Sprintf("--timeout is above 0, not %v", c.Timeout), "", 2}
	case !(f.failures >= 0 && f.failures <= 1):
		return nil, &flagError{fmt.Sprintf("--max-failure-rate is between 0 and 1, not %v", f.failures), "", 2}
	}
	if f.cache != "" {
		var err error
		if c.Cache, err = OpenCache(f.cache); err != nil {
			return nil, err
		}
	}
	client, err := NewClient(c)
	if err != nil {
		return nil, &flagError{err.Error(), "", 2}
	}
	return client, nil
}

// Tolerate returns an error when more of the questions failed than
// --max-failure-rate allows.
func (f *Flags) Tolerate(asked, failed int64) error {
	if asked == 0 || float64(failed)/float64(asked) <= f.failures {
		return nil
	}
	e := &flagError{fmt.Sprintf("%d of %d judgements failed, more than --max-failure-rate %v allows", failed, asked, f.failures), "", 1}
	if f.cache == "" {
		e.hint = "with --cache DIR a second run pays only for what failed"
	}
	return e
}

type flagError struct {
	text, hint string
	code       int
}

func (e *flagError) Error() string { return e.text }
func (e *flagError) Hint() string  { return e.hint }
func (e *flagError) ExitCode() int { return e.code }
