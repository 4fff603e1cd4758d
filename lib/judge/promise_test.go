package judge

import (
	"context"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A judge that thinks until its budget is used up has said nothing: the row says
// so, and so does the next request.
func TestJ5UsedUpBudgetIsSaid(t *testing.T) {
	half := good[:len(good)/2]
	s := serve(t, saysWith("<think>first", "length"), saysWith(half, "length"))
	a := askTask(t, client(t, s))
	require.Equal(t, Failed, a.Status)
	require.Equal(t, ClassLength, a.Err.Class)
	require.Contains(t, a.Err.Detail, "output budget")
	require.Equal(t, half, *a.Reply)
	require.Contains(t, s.user(1), "output budget")
}

// What a judge cannot tell satisfies nothing: there is no verdict then.
func TestJ8UndeterminedIsNoVerdict(t *testing.T) {
	for _, word := range []string{`"cannot be determined"`, `"unknown"`, `"yes"`, `null`, `""`, `0.5`, `1`, `[true]`} {
		v, err := ReadVerdicts(strings.Replace(good, "true", word, 1), task.Items, len(task.Steps))
		require.Nil(t, v, word)
		require.Equal(t, ClassSchema, err.Class, word)
	}
}

// ended is a context that is done, which only who asks for its error can tell:
// it ends between the last byte of a reply and the look at it.
type ended struct{ context.Context }

func (ended) Err() error { return context.Canceled }

// A reply that came whole was paid for: it is kept though the run was
// interrupted meanwhile.
func TestInterruptedRunKeepsWholeReplies(t *testing.T) {
	s := serve(t, says(good))
	dir := t.TempDir()
	a, err := Ask(ended{context.Background()}, client(t, s, withCache(t, dir)), task.Query(), verdictsOf(task))
	require.NoError(t, err)
	require.Equal(t, OK, a.Status)
	require.Len(t, cacheFiles(t, dir), 1)
}

// Where a connection was closed before anything was sent, the transport sends
// the body again: it must be the one that setFields made.
func TestBodyCanBeSentAgain(t *testing.T) {
	req, err := http.NewRequest(http.MethodPost, "http://h", strings.NewReader(`{"model":"m"}`))
	require.NoError(t, err)
	require.NoError(t, setFields(req, map[string]any{"temperature": 0}))
	first, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"model":"m","temperature":0}`, string(first))
	again, err := req.GetBody()
	require.NoError(t, err)
	second, err := io.ReadAll(again)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.EqualValues(t, len(first), req.ContentLength)
}

// The flags name themselves, and the environment completes them.
func TestFlags(t *testing.T) {
	t.Setenv(EnvURL, "http://h/v1")
	t.Setenv(EnvModel, "m")
	t.Setenv(EnvKey, "k")
	parse := func(args ...string) *Flags {
		f, set := &Flags{}, flag.NewFlagSet("", flag.ContinueOnError)
		f.Register(set)
		var names []string
		set.VisitAll(func(g *flag.Flag) { names = append(names, g.Name) })
		require.ElementsMatch(t, FlagNames, names)
		require.Subset(t, FlagNames, PlumbingNames)
		require.NoError(t, set.Parse(args))
		return f
	}
	c, err := parse().Connect()
	require.NoError(t, err)
	require.Equal(t, Config{URL: "http://h/v1", Model: "m", Key: "k", Tries: 3, Timeout: 2 * time.Minute, Concurrency: 64}, c.cfg)
	c, err = parse("--url", "http://other/v1", "--judge-model", "n", "--cache", t.TempDir()).Connect()
	require.NoError(t, err)
	require.Equal(t, "http://other/v1", c.cfg.URL)
	require.Equal(t, "n", c.cfg.Model)
	require.NotNil(t, c.cfg.Cache)

	f := parse("--max-failure-rate", "0.25")
	require.NoError(t, f.Tolerate(0, 0))
	require.NoError(t, f.Tolerate(4, 1))
	var e *flagError
	require.ErrorAs(t, f.Tolerate(4, 2), &e)
	require.Equal(t, 1, e.ExitCode())
	require.Contains(t, e.Hint(), "--cache")
	require.ErrorAs(t, parse("--max-failure-rate", "0", "--cache", "c").Tolerate(4, 1), &e)
	require.Empty(t, e.Hint())
}
