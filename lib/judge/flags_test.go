package judge

import (
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parseFlags(t testing.TB, args ...string) *Flags {
	f, set := &Flags{}, flag.NewFlagSet("", flag.ContinueOnError)
	f.Register(set)
	var names []string
	set.VisitAll(func(g *flag.Flag) {
		names = append(names, g.Name)
		require.Contains(t, FlagUsage, "--"+g.Name)
	})
	require.ElementsMatch(t, FlagNames, names)
	require.Subset(t, FlagNames, PlumbingNames)
	require.NoError(t, set.Parse(args))
	return f
}

// The flags name themselves, and the environment completes them.
func TestFlags(t *testing.T) {
	t.Setenv(EnvURL, "http://h/v1")
	t.Setenv(EnvModel, "m")
	t.Setenv(EnvKey, "k")
	c, err := parseFlags(t).Connect()
	require.NoError(t, err)
	require.Equal(t, "m", c.cfg.Model)
	require.Equal(t, "k", c.cfg.Remote.Key)
	require.Equal(t, []string{"http://h/v1"}, c.cfg.Remote.URLs)
	require.Nil(t, c.cfg.Cache)
	f := parseFlags(t, "--url", "http://i/v1", "--judge-model", "n", "--cache", t.TempDir(), "--max-tokens", "9", "--concurrency", "3")
	c, err = f.Connect()
	require.NoError(t, err)
	require.Equal(t, "n", c.cfg.Model)
	require.Equal(t, 9, c.cfg.MaxTokens)
	require.NotNil(t, c.cfg.Cache)
	require.Greater(t, f.Window().Workers, 3)

	for _, args := range [][]string{{"--max-tokens", "-1"}, {"--max-failure-rate", "1.5"}, {"--price-in", "-1"}, {"--price-out", "NaN"}, {"--tries", "0"}, {"--url", "ftp://h"}, {"--ca", "flags.go"}} {
		_, err := parseFlags(t, args...).Connect()
		var e interface{ ExitCode() int }
		require.ErrorAs(t, err, &e, "%v", args)
		require.Equal(t, 2, e.ExitCode())
	}
	t.Setenv(EnvModel, "")
	_, err = parseFlags(t).Connect()
	require.ErrorContains(t, err, "no model")
}

// tally starts a count without a server.
func tally(t testing.TB, args ...string) *Tally {
	t.Setenv(EnvURL, "http://h/v1")
	t.Setenv(EnvModel, "m")
	f := parseFlags(t, args...)
	_, err := f.Connect()
	require.NoError(t, err)
	return f.Tally()
}

// The run is lost as soon as no more than the tolerated share can succeed, and
// not before.
func TestTallyIsCertain(t *testing.T) {
	bad := &Error{ClassSchema, "d"}
	c := tally(t, "--max-failure-rate", "0.25")
	c.Expect(8)
	for range 5 {
		require.NoError(t, c.Add(Failed, bad), "more could come")
	}
	c.Expect(12)
	require.NoError(t, c.Complete(), "5 of 20 may fail")
	require.NoError(t, c.Add(OK, nil))
	require.NoError(t, c.Add(TooLong, bad), "which is no failure")
	err := c.Add(Failed, bad)
	require.EqualError(t, err, "6 of 20 judgements failed, more than --max-failure-rate 0.25 allows")
	require.Contains(t, err.(*lost).Hint(), "--cache")
	asked, failed, classes := c.Counts()
	require.Equal(t, []int64{8, 6}, []int64{asked, failed})
	require.Equal(t, map[string]int64{ClassSchema: 6}, classes)

	c = tally(t, "--max-failure-rate", "0", "--cache", t.TempDir())
	c.Expect(1)
	require.NoError(t, c.Add(Failed, bad))
	err = c.Complete()
	require.ErrorContains(t, err, "1 of 1")
	require.Empty(t, err.(*lost).Hint())
	require.NoError(t, tally(t).Complete(), "nothing was asked")
}

// A judge that does not work is told from replies that do not read.
func TestTallyKnowsTheDead(t *testing.T) {
	for _, class := range []string{ClassNetwork, ClassTimeout, ClassResponse, "http 500", "http 503", "http 429"} {
		c := tally(t, "--concurrency", "20")
		e := &Error{class, "d"}
		for range 39 {
			require.NoError(t, c.Add(Failed, e))
		}
		require.NoError(t, c.Add(OK, nil), "it lives")
		for range 39 {
			require.NoError(t, c.Add(Failed, e))
		}
		require.ErrorContains(t, c.Add(Failed, e), "the judge does not work: the last 40 judgements failed")
	}
	for _, class := range []string{ClassNoJSON, ClassLength, "http 400"} {
		c := tally(t)
		for range 1000 {
			require.NoError(t, c.Add(Failed, &Error{class, "d"}))
		}
	}
	c := tally(t, "--max-failure-rate", "1")
	for range 1000 {
		require.NoError(t, c.Add(Failed, &Error{ClassNetwork, "d"}), "as many as there are")
	}
	c = tally(t, "--timeout", "1ms")
	require.NoError(t, c.Add(Failed, &Error{ClassTimeout, "d"}))
	time.Sleep(5 * time.Millisecond)
	require.ErrorContains(t, c.Add(Failed, &Error{ClassTimeout, "d"}), "nothing succeeded in the last")
}

func TestSummary(t *testing.T) {
	s := serve(t, says("no"), says(good))
	dir := t.TempDir()
	t.Setenv(EnvURL, s.URL+"/v1")
	t.Setenv(EnvModel, "m")
	for run := range 2 {
		f := parseFlags(t, "--cache", dir, "--price-in", "5000", "--price-out", "10000")
		c, err := f.Connect()
		require.NoError(t, err)
		askTask(t, c)
		sum := f.Summary(c)
		lines, warnings := sum.Lines()
		require.Empty(t, warnings)
		if run == 0 {
			require.Contains(t, lines[0], "requests: 2, of them followed by another: no json 1; answers from the cache: 0; tokens: 200 in, 20 out; cost 1.2")
			require.Regexp(t, `^latency: p50 .*, p95 .*, p99 .*; in flight: mean 1.0, most 1, over time, each 1s: [0-9. ]+$`, lines[1])
			require.Equal(t, 1.2, *sum.Cost)
		} else {
			require.Equal(t, []string{"requests: 0, of them followed by another: none; answers from the cache: 1; tokens: 0 in, 0 out; cost 0"}, lines)
		}
	}
	cache, err := OpenCache(dir)
	require.NoError(t, err)
	stats, err := cache.Stats()
	require.NoError(t, err)
	require.Equal(t, CacheStats{Entries: 1, PromptTokens: 200, CompletionTokens: 20, Hits: 1}, stats)

	require.NoError(t, os.WriteFile(filesIn(t, filepath.Join(dir, cacheShard(t, dir)))[0], []byte("x"), 0o666))
	stats, err = cache.Stats()
	require.NoError(t, err)
	require.Equal(t, CacheStats{Damaged: 1, Hits: 1}, stats)
}

// cacheShard is the only directory in dir.
func cacheShard(t testing.TB, dir string) string {
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		if e.IsDir() {
			return e.Name()
		}
	}
	require.Fail(t, "the cache is empty")
	return ""
}

// Hits of many processes add up.
func TestHitsAddUp(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			c, err := OpenCache(dir)
			if err == nil {
				err = c.noteHits(int64(n))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, err := OpenCache(dir)
	require.NoError(t, err)
	s, err := c.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 190, s.Hits)
}
