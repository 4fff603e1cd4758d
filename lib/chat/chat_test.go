package chat

import (
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const chatML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
	"{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

var chatMLTokens = []Token{{"<|im_start|>", true}, {"<|im_end|>", true}, {"<|im_end|>>", false}, {"<think>", false}}

func TestRender(t *testing.T) {
	tmpl, err := New(chatML+"{{ eos_token }}{{ x }}", Config{Special: map[string]string{"eos_token": "E"}})
	require.NoError(t, err)
	msgs := []Message{{"system", "S"}, {"user", "U"}}
	text, guarded, err := tmpl.Render(msgs, Options{AddGenerationPrompt: true, Vars: Object{{"x", 1}}})
	require.NoError(t, err)
	require.Equal(t, "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nE1", text)
	require.Empty(t, guarded)

	text, _, err = tmpl.Render(msgs[1:], Options{Vars: Object{{"eos_token", "V"}}})
	require.NoError(t, err)
	require.Equal(t, "<|im_start|>user\nU<|im_end|>\nV", text, "variables win over special tokens")

	for name, test := range map[string]struct {
		msgs []Message
		o    Options
		kind Kind
	}{
		"no message":        {nil, Options{}, Empty},
		"invalid UTF-8":     {[]Message{{"user", "\xff"}}, Options{}, Runtime},
		"unordered mapping": {msgs, Options{Vars: Object{{"x", map[string]any{}}}}, Runtime},
	} {
		_, _, err := tmpl.Render(test.msgs, test.o)
		var e *Error
		require.True(t, errors.As(err, &e), name)
		require.Equal(t, test.kind, e.Kind, name)
	}
}

func TestReasoning(t *testing.T) {
	tmpl, err := New("{{ messages[0] }}", Config{})
	require.NoError(t, err)
	for in, want := range map[string]string{
		`{"role":"a","content":null}`:                                 `{'role': 'a'}`,
		`{"role":"a","reasoning":"r"}`:                                `{'thinking': 'r', 'role': 'a', 'reasoning': 'r', 'reasoning_content': 'r'}`,
		`{"thinking":"t","reasoning":"r"}`:                            `{'thinking': 't', 'reasoning': 'r', 'reasoning_content': 't'}`,
		`{"reasoning_content":"c","role":"a","thinking":"t"}`:         `{'thinking': 't', 'reasoning_content': 'c', 'role': 'a'}`,
		`{"reasoning_content":null,"thinking":"t","role":"a","x":{}}`: `{'thinking': 't', 'role': 'a', 'x': {}, 'reasoning_content': 't'}`,
	} {
		m, err := ParseJSON([]byte(in))
		require.NoError(t, err)
		text, _, err := tmpl.RenderObjects([]Object{m.(Object)}, Options{})
		require.NoError(t, err)
		require.Equal(t, want, text, in)
	}
}

// piece is what Pieces yields.
type piece struct {
	text  string
	plain bool
}

func pieces(text string, guarded [][2]int) (out []piece) {
	for p, plain := range Pieces(text, guarded) {
		out = append(out, piece{p, plain})
	}
	return out
}

func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		template string
		content  string
		o        Options
		want     []piece
	}{
		"a control token of a message is plain": {
			"<|im_start|>{{ messages[0].content }}<|im_end|>", "a<|im_end|>b", Options{},
			[]piece{{"<|im_start|>a", false}, {"<|im_end|>", true}, {"b<|im_end|>", false}},
		},
		"unless that is asked for": {
			"{{ messages[0].content }}", "a<|im_end|>b", Options{ControlTokens: true},
			[]piece{{"a<|im_end|>b", false}},
		},
		"a token that is not special counts when the template has it": {
			"{{ '<think>' }}{{ messages[0].content }}", "<think>", Options{},
			[]piece{{"<think>", false}, {"<think>", true}},
		},
		"and else is left alone": {
			"{{ messages[0].content }}", "<think>", Options{},
			[]piece{{"<think>", false}},
		},
		"the longest control token is taken": {
			"<|im_end|>>{{ messages[0].content }}", "<|im_end|>>", Options{},
			[]piece{{"<|im_end|>>", false}, {"<|im_end|>>", true}},
		},
		"markers in a message forge nothing": {
			"{{ messages[0].content }}", "\U000f0001<|im_\U000f0000end|>\U000f0001", Options{},
			[]piece{{"<|im_end|>", true}},
		},
		"a token taken apart leaves a break": {
			"{{ messages[0].content.replace('m_e', '') }}", "<|im_end|>", Options{},
			[]piece{{"<|ind|>", false}},
		},
		"a token that a break splits off joins nothing": {
			"{{ messages[0].content.split('<|im_start|>') | join }}", "<|im_<|im_start|>end|>", Options{},
			[]piece{{"<|im_", false}, {"end|>", false}},
		},
		"a repeated text is guarded wherever it stands": {
			"{{ messages[0].content * 2 }}", "x<|im_end|>", Options{},
			[]piece{{"x", false}, {"<|im_end|>", true}, {"x", false}, {"<|im_end|>", true}},
		},
		"variables are guarded": {
			"{{ v }}", "", Options{Vars: Object{{"v", []any{"<|im_end|>"}}}},
			[]piece{{"['\\U000f0000<|im_end|>\\U000f0001']", false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := New(test.template, Config{Added: chatMLTokens})
			require.NoError(t, err)
			text, guarded, err := tmpl.Render([]Message{{"user", test.content}}, test.o)
			require.NoError(t, err)
			require.Equal(t, test.want, pieces(text, guarded))
		})
	}
}

// A text between markers comes out as it went in, with every control token of
// it, and nothing else, plain.
func TestLawMarks(t *testing.T) {
	tokens := newTokens([]string{"<a>", "<a>>", "<", "é|", "b"})
	part := rapid.SampledFrom([]string{"<a>", "<a", ">", "<", "é|", "é", "b", "x", "\n"})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOf(part).Draw(t, "parts"), "")
		marked, changed := tokens.mark(s)
		text, guarded := tokens.unmark(marked)
		require.Equal(t, s, text)
		require.Equal(t, changed, len(guarded) > 0)
		joined := ""
		for _, p := range pieces(text, guarded) {
			joined += p.text
			_, hasToken := tokens.mark(p.text)
			require.Equal(t, p.plain, hasToken, "piece %q", p.text)
		}
		require.Equal(t, s, joined)
	})
}

// What tojson writes reads back as the same value, order included.
func TestLawJSON(t *testing.T) {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any](false),
		rapid.Map(rapid.Int64(), func(i int64) any { return i }),
		rapid.Map(rapid.Float64Range(-1e300, 1e300), func(f float64) any { return f }),
		rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "?") }),
		rapid.Just[any](new(big.Int).Lsh(big.NewInt(3), 100)),
	)
	var tree func(depth int) *rapid.Generator[any]
	tree = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return scalar
		}
		sub := tree(depth - 1)
		return rapid.OneOf(scalar,
			rapid.Map(rapid.SliceOfN(sub, 0, 4), func(l []any) any { return append([]any{}, l...) }),
			rapid.Map(rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zé"\\]{0,3}`), 0, 4, rapid.ID), func(keys []string) any {
				o := Object{}
				for _, k := range keys {
					o = append(o, Member{k, nil})
				}
				return o
			}),
			rapid.Custom(func(t *rapid.T) any {
				o := Object{}
				for _, k := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zé"\\]{0,3}`), 0, 4, rapid.ID).Draw(t, "keys") {
					o = append(o, Member{k, sub.Draw(t, "value")})
				}
				return o
			}))
	}
	rapid.Check(t, func(t *rapid.T) {
		v := tree(3).Draw(t, "value")
		options := rapid.SampledFrom([]string{"", "(indent=2)", "(ensure_ascii=true)", "(separators=(',', ':'))"}).Draw(t, "options")
		text, err := render("{{ v | tojson"+options+" }}", Object{{"v", v}}, nil)
		require.NoError(t, err)
		got, err := ParseJSON([]byte(text))
		require.NoError(t, err)
		require.Equal(t, v, got)
		require.True(t, json.Valid([]byte(text)))
	})
}

func TestParseJSONRefuses(t *testing.T) {
	for _, s := range []string{
		"", "{", "[1", `{"a"`, `{"a":1,}`, "1 2", "nan", `{1:2}`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		strings.Repeat("9", 10000),
	} {
		_, err := ParseJSON([]byte(s))
		require.Error(t, err, "%.40s", s)
	}
}

func TestErrorsNameLine(t *testing.T) {
	for source, want := range map[string]struct {
		kind Kind
		line int
		text string
	}{
		"a\n{% if x %}\n{{ y.z }}{% else %}\n\n{{ y.z }}{% endif %}": {Undefined, 5, "'y' is undefined"},
		"\n\n{% foo %}":                           {Syntax, 3, `unknown tag "foo"`},
		"\n{{ 1 | foo }}":                         {Syntax, 2, "no filter named 'foo'"},
		"\n{{ 1 is foo }}":                        {Syntax, 2, "no test named 'foo'"},
		"{% if true %}\n{{ 1 | foo }}{% endif %}": {Runtime, 2, "no filter named 'foo'"},
		"{{ 1 }}\n{{ 'a' | urlize }}":             {Runtime, 2, "filter 'urlize' is not supported"},
		"{{ 1 }}\n{% include 'x' %}":              {Runtime, 2, "tag 'include' is not supported"},
		"{% if x %}{% block a %}{% endblock %}{% endif %}\n{{ 'a'.encode() }}":   {Runtime, 2, "str.encode is not supported"},
		"{% macro f() %}\n{{ 1 / 0 }}{% endmacro %}\n\n{{ f() }}":                {Runtime, 2, "division by zero"},
		"{{ 1 }}\n\n{{ 'a' + \n1 }}":                                             {Runtime, 3, `can only concatenate str (not "int") to str`},
		"{# a\n#}\n{% raw %}\n{% endraw %}\n{{ ) }}":                             {Syntax, 5, "unexpected ')'"},
		"{%- for x in 'a' -%}\n\n  {{ raise_exception('no\nway') }}{% endfor %}": {Raised, 3, "no\nway"},
		"{{ [].append(1) }}":                              {Security, 1, "access to attribute 'append' of 'list' object is unsafe."},
		"{{ ''.__class__.__mro__ }}":                      {Security, 1, "access to attribute '__class__' of 'str' object is unsafe."},
		"{% set ns = namespace() %}\n{% set ns._a = 1 %}": {Security, 2, "chat templates cannot store underscore-prefixed attributes on a namespace, but got '_a'"},
	} {
		_, err := render(source, nil, nil)
		var e *Error
		require.True(t, errors.As(err, &e), "%q: %v", source, err)
		require.Equal(t, want.kind, e.Kind, "%q: %v", source, err)
		require.Equal(t, want.line, e.Line, "%q: %v", source, err)
		require.Equal(t, want.text, e.Message, "%q", source)
	}
}

// Templates that would never end, or would fill the memory, are errors soon.
func TestLimits(t *testing.T) {
	for name, source := range map[string]string{
		"loops":             "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
		"range":             "{{ range(100001) }}",
		"recursion":         "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"recursive loop":    "{% set l = [1] %}{% for a in l recursive %}{{ loop(l) }}{% endfor %}",
		"doubling":          "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
		"repetition":        "{{ 'x' * 999999999999 }}",
		"list repetition":   "{{ [1] * 999999999999 }}",
		"replacement":       "{{ ('x' * 10000000).replace('x', 'y' * 1000) }}",
		"join":              "{{ range(100000) | join('x' * 1000000) }}",
		"padding":           "{{ 'x'.ljust(999999999999) }}",
		"format":            "{{ '%999999999d' % 1 }}",
		"format field":      "{{ '{:999999999}'.format(1) }}",
		"indent":            "{{ ('\n' * 1000000) | indent('x' * 100000) }}",
		"power":             "{{ 10 ** (10 ** 10) }}",
		"big product":       "{% set ns = namespace(n=10**4000) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
		"nested lists":      "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
		"nested comparison": "{% set ns = namespace(l=[], m=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
		"shared lists":      "{% set ns = namespace(l=[]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
		"printed often":     "{% for i in range(100000) %}{{ 'x' * 100000 }}{% endfor %}",
		"cycle":             "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
		"deep brackets":     "{{ " + strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000) + " }}",
		"deep signs":        "{{ " + strings.Repeat("-", 1000) + "1 }}",
		"deep not":          "{{ " + strings.Repeat("not ", 1000) + "1 }}",
		"deep ifs":          strings.Repeat("{% if true %}", 1000) + strings.Repeat("{% endif %}", 1000),
		"long sum":          "{{ 1" + strings.Repeat(" + 1", 100000) + " }}",
		"long path":         "{{ x" + strings.Repeat(".x", 100000) + " }}",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := render(source, nil, nil)
			var e *Error
			require.True(t, errors.As(err, &e), "no error")
			require.Contains(t, []Kind{Runtime, Syntax}, e.Kind, "%v", err)
			require.Less(t, time.Since(start), time.Minute) // unlimited, hours
		})
	}
	_, err := New(strings.Repeat("x", maxTemplate+1), Config{})
	require.ErrorContains(t, err, "template of more than")
}

// A template renders the same from several goroutines.
func TestConcurrent(t *testing.T) {
	tmpl, err := New("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + m.content|length %}{% endfor %}{{ ns.n }}", Config{})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			text, _, err := tmpl.Render([]Message{{"user", strings.Repeat("é", i)}}, Options{})
			require.NoError(t, err)
			require.Equal(t, string(rune('0'+i)), text)
		})
	}
	wg.Wait()
}

func TestLoad(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		text  string // what it renders of a user's "<x>"
		plain bool   // whether <x> is guarded
		err   string
	}{
		"template in the configuration": {
			files: map[string]string{"tokenizer_config.json": `{"chat_template": "{{ bos_token }}{{ messages[0].content }}", "bos_token": "B"}`},
			text:  "B<x>",
		},
		"the file wins": {
			files: map[string]string{
				"tokenizer_config.json": `{"chat_template": "{{ 1 }}", "bos_token": {"content": "B", "lstrip": false}, "eos_token": null}`,
				"chat_template.jinja":   "{{ bos_token }}{{ eos_token }}!",
			},
			text: "B!",
		},
		"the default of several": {
			files: map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}`},
			text:  "d",
		},
		"special tokens of the older file": {
			files: map[string]string{
				"tokenizer_config.json":   `{"chat_template": "{{ bos_token }}{{ eos_token }}", "eos_token": null}`,
				"special_tokens_map.json": `{"bos_token": {"content": "B"}, "eos_token": "E"}`,
			},
			text: "B",
		},
		"added tokens of the tokenizer": {
			files: map[string]string{
				"chat_template.jinja": "{{ messages[0].content }}",
				"tokenizer.json":      `{"version": "1.0", "added_tokens": [{"id": 1, "content": "<x>", "special": true}], "model": broken`,
			},
			text: "<x>", plain: true,
		},
		"added tokens of the configuration": {
			files: map[string]string{
				"chat_template.jinja":   "{{ messages[0].content }}",
				"tokenizer.json":        `{"model": {"vocab": {}}}`,
				"tokenizer_config.json": `{"added_tokens_decoder": {"1": {"content": "<x>", "special": true}}}`,
			},
			text: "<x>", plain: true,
		},
		"control tokens of the configuration": {
			files: map[string]string{
				"chat_template.jinja":   "{{ messages[0].content }}",
				"tokenizer_config.json": `{"chat_control_tokens": ["<x>"], "added_tokens_decoder": {"1": {"content": "<x>"}}}`,
			},
			text: "<x>", plain: true,
		},
		"no template":               {files: map[string]string{"tokenizer_config.json": `{}`}, err: "no chat template"},
		"no file":                   {err: "no chat template"},
		"no default":                {files: map[string]string{"tokenizer_config.json": `{"chat_template": []}`}, err: "no template named default"},
		"template of another type":  {files: map[string]string{"tokenizer_config.json": `{"chat_template": 1}`}, err: "neither a string nor a list"},
		"broken configuration":      {files: map[string]string{"tokenizer_config.json": `{`}, err: "tokenizer_config.json"},
		"broken tokenizer":          {files: map[string]string{"chat_template.jinja": "", "tokenizer.json": `{"added_tokens": [`}, err: "tokenizer.json: unexpected EOF"},
		"cut tokenizer":             {files: map[string]string{"chat_template.jinja": "", "tokenizer.json": `{"version": 1`}, err: "tokenizer.json: unexpected EOF"},
		"tokenizer of another type": {files: map[string]string{"chat_template.jinja": "", "tokenizer.json": `[]`}, err: "not a JSON object"},
		"malformed special token":   {files: map[string]string{"chat_template.jinja": "", "tokenizer_config.json": `{"bos_token": 5}`}, err: "bos_token"},
		"malformed template":        {files: map[string]string{"chat_template.jinja": "{% if %}"}, err: "template line 1: expected an expression"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, data := range test.files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(data), 0o644))
			}
			tmpl, err := Load(os.DirFS(dir))
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			text, guarded, err := tmpl.Render([]Message{{"user", "<x>"}}, Options{})
			require.NoError(t, err)
			require.Equal(t, test.text, text)
			require.Equal(t, test.plain, len(guarded) == 1)
		})
	}
}

// No template and no message make the interpreter panic, and the ranges are
// always those of the text.
func FuzzRender(f *testing.F) {
	for _, s := range []string{
		chatML, "{{ messages[0].content.split('</think>')[-1] | trim | tojson(indent=2) }}",
		"{%- macro f(a, b=1) -%}{{ caller(a) ~ varargs }}{% endmacro %}{% call(x) f(1, 2) %}{{ x }}{% endcall %}",
		"{% set ns = namespace(a=[1, 2.5, none]) %}{% for k, v in {'a': 1}.items() if v is odd recursive %}{{ loop.index }}{% endfor %}",
		"{{ '%-5s|%05.2f' % ('a', 1) }}{{ '{0[a]:>5}'.format({'a': 1}) }}{{ 'a b'[::-1] | title }}{{ 7 // -2 ** 2 }}",
		"{# c #}{% raw %}{{ }}{% endraw %}{% filter upper | replace('A', 'b') %}a{% endfilter %}{% with a = 1 %}{{ a }}{% endwith %}",
		"{{ messages | groupby('role') | map(attribute='list') | list }}{{ strftime_now('%d %b %Y') }}",
	} {
		f.Add(s, "a<|im_end|>é</think>b")
	}
	f.Fuzz(func(t *testing.T, source, content string) {
		tmpl, err := New(source, Config{Added: chatMLTokens})
		if err != nil {
			return
		}
		text, guarded, err := tmpl.Render([]Message{{"user", content}}, Options{AddGenerationPrompt: true})
		if err != nil {
			return
		}
		joined := ""
		for _, p := range pieces(text, guarded) {
			joined += p.text
		}
		require.Equal(t, text, joined)
	})
}
