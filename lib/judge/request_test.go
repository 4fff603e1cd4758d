package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/remote"
)

// picky refuses requests that have one of the fields, in those words.
func picky(s **scripted, words string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		(*s).mu.Lock()
		body := (*s).bodies[len((*s).bodies)-1]
		(*s).mu.Unlock()
		for _, f := range fields {
			if _, there := body[f]; there {
				status(400, fmt.Sprintf(`{"error":{"message":%q}}`, words))(w, r)
				return
			}
		}
		says(good)(w, r)
	}
}

// What a server refuses of the form of a request is left out from then on, and
// costs no try.
func TestDialects(t *testing.T) {
	for _, c := range []struct {
		words string
		field string
		notes int
		tries int32
	}{
		{"'response_format.type' must be 'text'", "response_format", 1, 3},
		{"json_schema is not supported by this backend", "response_format", 1, 3},
		{"Unsupported value: 'temperature' does not support 0 with this model.", "temperature", 1, 2},
		{"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "max_tokens", 0, 2},
	} {
		var s *scripted
		s = serve(t, picky(&s, c.words, c.field))
		cl := client(t, s, func(c *Config) { c.Remote.Tries, c.MaxTokens = 1, 77 })
		a := askTask(t, cl)
		require.Equal(t, OK, a.Status, "%v", a.Err)
		require.Equal(t, c.tries, a.Tries, "all requests that were sent")
		require.EqualValues(t, c.tries-1, cl.Stats().Retries["http 400"])
		require.Len(t, cl.Stats().Notes, c.notes)
		a = askTask(t, cl)
		require.EqualValues(t, 1, a.Tries, "the server is remembered")
		last := s.bodies[len(s.bodies)-1]
		require.NotContains(t, last, c.field)
		if c.field == "max_tokens" {
			require.EqualValues(t, 77, last["max_completion_tokens"])
		} else {
			require.EqualValues(t, 77, last["max_tokens"])
		}
	}
}

// A server whose model knows no system message gets its text with the question.
func TestNoSystemMessage(t *testing.T) {
	s := serve(t, status(500, `{"error":{"message":"System role not supported"}}`), says(good))
	cl := client(t, s)
	for range 2 {
		require.Equal(t, OK, askTask(t, cl).Status)
	}
	require.Len(t, s.bodies[1]["messages"], 1)
	require.Equal(t, s.bodies[1], s.bodies[2])
	require.Equal(t, task.Query().System+"\n\n"+task.Query().User, s.bodies[1]["messages"].([]any)[0].(map[string]any)["content"])
}

// A server that has JSON mode gets the schema beside it.
func TestSchemaOfJSONMode(t *testing.T) {
	var s *scripted
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		format := s.bodies[len(s.bodies)-1]["response_format"].(map[string]any)
		s.mu.Unlock()
		if format["type"] != "json_object" {
			status(500, `{"detail":[{"loc":["body","response_format","type"],"msg":"Input should be 'text' or 'json_object'"}]}`)(w, r)
			return
		}
		says(good)(w, r)
	})
	cl := client(t, s)
	require.EqualValues(t, 2, askTask(t, cl).Tries)
	require.EqualValues(t, 1, askTask(t, cl).Tries)
	schema, err := json.Marshal(s.bodies[2]["response_format"].(map[string]any)["schema"])
	require.NoError(t, err)
	require.JSONEq(t, string(task.Query().Schema), string(schema))
	require.Empty(t, cl.Stats().Notes)
}

// Many requests that are refused at the same time teach the same, once.
func TestDialectIsLearntOnce(t *testing.T) {
	var arrived sync.WaitGroup
	arrived.Add(4)
	refuse := func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		arrived.Wait()
		status(400, "json_schema? temperature?")(w, r)
	}
	s := serve(t, refuse, refuse, refuse, refuse, says(good))
	cl := client(t, s)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			a, err := Ask(context.Background(), cl, task.Query(), verdictsOf(task))
			if err != nil || a.Status != OK {
				t.Errorf("%v %+v", err, a.Err)
			}
		})
	}
	wg.Wait()
	require.Empty(t, cl.Stats().Notes, "the second form was never refused")
	require.Equal(t, 8, s.requests())
}

// Of two servers each is spoken to as it understands.
func TestDialectsAreThoseOfServers(t *testing.T) {
	var old *scripted
	old = serve(t, picky(&old, "unknown field response_format", "response_format"))
	modern := serve(t, says(good))
	cl := client(t, old, func(c *Config) { c.Remote.URLs = append(c.Remote.URLs, modern.URL+"/v1") })
	for range 20 {
		require.Equal(t, OK, askTask(t, cl).Status)
	}
	with, without := 0, 0
	for _, b := range old.bodies[2:] {
		if _, there := b["response_format"]; there {
			without++
		}
	}
	for _, b := range modern.bodies {
		if _, there := b["response_format"]; there {
			with++
		}
	}
	require.Zero(t, without)
	require.Equal(t, len(modern.bodies), with)
}

// A server that takes schemas and refuses one is asked without that one alone.
func TestOneSchemaIsRefused(t *testing.T) {
	s := serve(t, says(good), status(400, "the json_schema is too large"), says(good), says(good))
	cl := client(t, s)
	for range 3 {
		require.Equal(t, OK, askTask(t, cl).Status)
	}
	var with []bool
	for _, b := range s.bodies {
		_, there := b["response_format"]
		with = append(with, there)
	}
	require.Equal(t, []bool{true, true, false, true}, with)
}

// A refusal for another reason is a failure, and one that never ends is asked no
// further.
func TestRefusalsThatNoDialectMends(t *testing.T) {
	for _, words := range []string{"bad parameter", "the temperature of the sun", "response_format, temperature, max_completion_tokens, system role: not supported"} {
		s := serve(t, status(400, words))
		a := askTask(t, client(t, s, func(c *Config) { c.MaxTokens = 5 }))
		require.Equal(t, Failed, a.Status)
		require.Equal(t, "http 400", a.Err.Class)
		require.LessOrEqual(t, s.requests(), 6)
	}
}

func TestStructuredOutput(t *testing.T) {
	s := serve(t, says(good))
	askTask(t, client(t, s))
	format := s.bodies[0]["response_format"].(map[string]any)
	require.Equal(t, "json_schema", format["type"])
	schema, err := json.Marshal(format["json_schema"].(map[string]any)["schema"])
	require.NoError(t, err)
	require.JSONEq(t, string(task.Query().Schema), string(schema))
	require.Equal(t, true, format["json_schema"].(map[string]any)["strict"])
	require.NotContains(t, s.bodies[0], "max_tokens")

	askTask(t, client(t, s, func(c *Config) { c.NoSchema = true }))
	require.NotContains(t, s.bodies[1], "response_format")
	_, err = Ask(context.Background(), client(t, s), StepTask{Steps: []string{"a"}}.Query(), func(string) (bool, *Error) { return true, nil })
	require.NoError(t, err)
	require.NotContains(t, s.bodies[2], "response_format")
}

// A budget of output tokens doubles when a reply is cut by it.
func TestBudgetOfRepliesDoubles(t *testing.T) {
	s := serve(t, saysWith("<think>hm", "length"), saysWith(good[:9], "length"), saysWith("<think>hm</think>"+good, "stop"))
	a := askTask(t, client(t, s, func(c *Config) { c.MaxTokens = 100 }))
	require.Equal(t, OK, a.Status)
	var budgets []any
	for _, b := range s.bodies {
		budgets = append(budgets, b["max_tokens"])
	}
	require.Equal(t, []any{100., 200., 400.}, budgets)
}

// Reasoning apart from the reply is no reply.
func TestReasoningIsNoReply(t *testing.T) {
	s := serve(t, status(200, `{"choices":[{"message":{"role":"assistant","content":null,"reasoning_content":"`+strings.ReplaceAll(good, `"`, `\"`)+`"}}]}`))
	a := askTask(t, client(t, s))
	require.Equal(t, &Error{ClassEmpty, "there is reasoning, but no reply"}, a.Err)
}

func TestTooLongInTheWordsOfServers(t *testing.T) {
	for words, long := range map[string]bool{
		"the request exceeds the available context size. try increasing the context size":  true,
		"The input (9000 tokens) is longer than the model's context length (8192 tokens).": true,
		"context": false,
	} {
		s := serve(t, status(400, words))
		require.Equal(t, long, askTask(t, client(t, s)).Status == TooLong, words)
	}
}

// The tokens that may be spent are spent, and hardly more; nothing is sent after
// that.
func TestBudget(t *testing.T) {
	s := serve(t, says(good)) // 110 tokens a question
	cl := client(t, s, func(c *Config) { c.Budget = 1000 })
	n := 0
	for ; n < 50; n++ {
		if _, err := Ask(context.Background(), cl, task.Query(), verdictsOf(task)); err != nil {
			require.ErrorIs(t, err, ErrBudget)
			break
		}
	}
	require.Equal(t, 9, n)
	require.Equal(t, 9, s.requests())
	require.EqualValues(t, 990, cl.Stats().PromptTokens+cl.Stats().CompletionTokens)
}

func TestRefusedEndsEverything(t *testing.T) {
	s := serve(t, status(401, `{"error":{"message":"Incorrect API key provided: `+secretKey+`"}}`))
	_, err := Ask(context.Background(), client(t, s), task.Query(), verdictsOf(task))
	var r *remote.Refused
	require.ErrorAs(t, err, &r)
	require.Contains(t, err.Error(), "401")
	require.NotContains(t, err.Error(), secretKey)
	require.Contains(t, r.Hint(), EnvKey)
}

func TestNewClientChecks(t *testing.T) {
	_, err := NewClient(Config{Remote: remote.Config{URLs: []string{"http://h/v1"}}})
	require.ErrorContains(t, err, "no model")
	_, err = NewClient(Config{Model: "m"})
	require.ErrorContains(t, err, "no address")
}
