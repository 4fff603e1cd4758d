package judge

import (
	"flag"
	"fmt"
	"os"

	"srar/lib/remote"
)

// Flags are the flags of a command that asks a judge. Errors of its methods
// carry the exit code and perhaps a hint for the user.
type Flags struct {
	// Of commands that have flags for them.
	NoSchema bool
	Budget   int64

	remote    remote.Flags
	asked     remote.Config // as the flags say
	model     string
	maxTokens int
	cache     string
	failures  float64
	prices    prices
}

// FlagNames are the names of the flags that [Flags.Register] registers, and
// PlumbingNames those among them that decide nothing about the rows.
var (
	FlagNames     = append([]string{"judge-model", "max-tokens", "max-failure-rate", "cache", "price-in", "price-out"}, remote.FlagNames...)
	PlumbingNames = append([]string{"cache", "price-in", "price-out"}, remote.PlumbingNames...)
)

// FlagUsage is what usage texts say of the flags.
const FlagUsage = `  --url URL[,URL...]        base address of the judge, with /v1; of several
                            servers with the same model ($JUDGE_URL)
  --judge-model NAME        model to ask for ($JUDGE_MODEL); key: $JUDGE_API_KEY
  --max-tokens N            budget of a reply, reasoning included; it doubles when
                            a reply is cut; 0: the judge's own limit (0)
  --max-failure-rate X      fail when more of the judgements fail (0.1)
  --cache DIR               keep complete answers and take them from there
  --price-in X, --price-out X
                            cost of a million tokens, for the summary
` + remote.FlagUsage

// Register adds the flags to set.
func (f *Flags) Register(set *flag.FlagSet) {
	f.remote = remote.Flags{Who: "judge", EnvURL: EnvURL, EnvKey: EnvKey}
	f.remote.Register(set)
	set.StringVar(&f.model, "judge-model", "", "")
	set.IntVar(&f.maxTokens, "max-tokens", 0, "")
	set.StringVar(&f.cache, "cache", "", "")
	set.Float64Var(&f.failures, "max-failure-rate", 0.1, "")
	set.Float64Var(&f.prices.in, "price-in", 0, "")
	set.Float64Var(&f.prices.out, "price-out", 0, "")
}

// Connect checks the flags, takes from the environment what they leave open,
// and makes the client.
func (f *Flags) Connect() (*Client, error) {
	var err error
	if f.asked, err = f.remote.Config(); err != nil {
		return nil, err
	}
	c := Config{Remote: f.asked, Model: f.model, MaxTokens: f.maxTokens, NoSchema: f.NoSchema, Budget: f.Budget}
	if c.Model == "" {
		c.Model = os.Getenv(EnvModel)
	}
	switch {
	case c.Model == "":
		return nil, &remote.UsageError{Text: "no model for the judge", Advice: "give --judge-model or set $" + EnvModel}
	case c.MaxTokens < 0:
		return nil, &remote.UsageError{Text: fmt.Sprintf("--max-tokens is 0 or more, not %d", c.MaxTokens)}
	case !(f.failures >= 0 && f.failures <= 1):
		return nil, &remote.UsageError{Text: fmt.Sprintf("--max-failure-rate is between 0 and 1, not %v", f.failures)}
	case !(f.prices.in >= 0 && f.prices.out >= 0):
		return nil, &remote.UsageError{Text: "--price-in and --price-out are 0 or more"}
	}
	if f.cache != "" {
		if c.Cache, err = f.OpenCache(); err != nil {
			return nil, err
		}
	}
	client, err := NewClient(c)
	if err != nil {
		return nil, &remote.UsageError{Text: err.Error()}
	}
	return client, nil
}

// OpenCache opens the cache that the flags name.
func (f *Flags) OpenCache() (*Cache, error) {
	if f.cache == "" {
		return nil, &remote.UsageError{Text: "no cache", Advice: "give --cache"}
	}
	return OpenCache(f.cache)
}

// Window is how much work goes on at a time. There are more jobs than requests
// in flight, since some wait to ask again.
func (f *Flags) Window() remote.Window {
	return remote.Window{Workers: f.asked.Concurrency + f.asked.Concurrency/4 + 1, Bytes: 32 << 20}
}

// Tally starts the count of a run that has connected.
func (f *Flags) Tally() *Tally {
	return &Tally{
		rate: f.failures, deadly: max(32, 2*int64(f.asked.Concurrency)), cached: f.cache != "",
		patience: 4 * f.asked.Total, classes: map[string]int64{},
	}
}

// Cost is what so many tokens cost at the prices given, nil without prices.
func (f *Flags) Cost(in, out int64) *float64 { return f.prices.cost(in, out) }

// Summary returns what client has done and what that has cost, and notes the
// hits of the cache there.
func (f *Flags) Summary(client *Client) Summary {
	s := client.summary(f.prices)
	if c := client.cfg.Cache; c != nil {
		if err := c.noteHits(s.Cached); err != nil && s.CacheError == "" {
			s.CacheError = err.Error()
		}
	}
	return s
}
