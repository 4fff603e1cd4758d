package judge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"srar/lib/golden"
	"srar/lib/rubric"
)

func suggest(ids ...int32) []rubric.Item {
	var items []rubric.Item
	for _, id := range ids {
		items = append(items, rubric.Item{ID: id, Type: rubric.SUGGEST, Text: "t"})
	}
	return items
}

// Readings that the golden file leaves open.
func TestReadVerdicts(t *testing.T) {
	one := []Verdict{{1, true, 2}}
	for _, c := range []struct {
		reply string
		class string // empty: reads as one
	}{
		{`[{"id":1,"satisfied":true,"step":2}]`, ""},
		{`[{"id":10e-1,"satisfied":"True","step":0.02e2}]`, ""},
		{`[{"id":1,"satisfied":true,"step":2000000000000000000000e-22}]`, "schema"}, // 0.2
		{`[{"id":1,"satisfied":true,"step":2000000000000000000000e-21}] [{"id":1,"satisfied":true,"step":2}]`, ""},
		{`[{"id":1,"satisfied":true,"step":20e-1e0}]`, "no json"},
		{`[{"id":1,"satisfied":true,"step":2,"step":2}]`, "schema"},                              // a name twice is not one value
		{`{"a":[{"id":1,"satisfied":true,"step":2}],"b":[]}`, "no json"},                         // two lists: which one?
		{`{"a":[{"id":1,"satisfied":true,"step":2}],"a":[]}`, "no json"},                         // under one name, too
		{`{"a":[{"id":1,"satisfied":true,"step":2}],"b":[1]}`, ""},                               // a list of numbers is none
		{`[] [{"id":1,"satisfied":true,"step":2}]`, ""},                                          // an empty draft
		{`[{"id":1,"satisfied":true,"step":2}] []`, ""},                                          //
		{`[{"id":1,"satisfied":true,"step":"2 "}]`, "schema"},                                    //
		{`[{"id":1,"satisfied":true,"step":"2.0"}]`, "schema"},                                   // as a string only a plain integer
		{`[{"id":1,"satisfied":true,"step":"+2"}]`, "schema"},                                    //
		{`[{"id":1,"satisfied":true,"step":"\u0032"}]`, ""},                                      //
		{`[{"id":1,"satisfied":true,"step":2,"x":"\ud83d"}]`, ""},                                // half a pair
		{`[{"id":1,"satisfied":true,"step":2,"x":"\ud83d\u0041\uDE42\n\/"}]`, ""},                //
		{`[{"id":1,"satisfied":true,"step":2,"x":"\u12g4"}]`, "no json"},                         //
		{`[{"id":1,"satisfied":true,"step":2,"x":"\`, "no json"},                                 //
		{`[{"id":1,"satisfied":true,"step":2,"x":"\u1`, "no json"},                               //
		{`[{"id":1,"satisfied":true,"step":-}]`, "no json"},                                      //
		{`[{"id":1,"satisfied":true,"step":1e}]`, "no json"},                                     //
		{`[{"id":2147483648,"satisfied":true,"step":2}]`, "schema"},                              //
		{`[{"id":1,"satisfied":true,"step":1e99999999999}]`, "schema"},                           //
		{`[{"id":1,"satisfied":true,"step":2}]<think>[{"id":1,"satisfied":false,"step":2}]`, ""}, // thought after the answer
	} {
		got, err := ReadVerdicts(c.reply, suggest(1), 2)
		if c.class == "" {
			require.Nil(t, err, c.reply)
			require.Equal(t, one, got, c.reply)
		} else {
			require.NotNil(t, err, c.reply)
			require.Equal(t, c.class, err.Class, c.reply)
		}
	}
}

func TestInt32Of(t *testing.T) {
	for text, want := range map[string]int32{
		"0": 0, "-0": 0, "0.000e99999999999999": 0, "2147483647": 2147483647, "-2147483648": -2147483648, "1e9": 1e9, "120e-1": 12, "1.20e1": 12, "100e-2": 1,
		"1" + strings.Repeat("0", 500) + "e-500": 1, "0." + strings.Repeat("0", 500) + "7e501": 7,
	} {
		got, ok := int32Of(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"2147483648", "-2147483649", "1e10", "0.1", "12e-1", "1e-999999999999", "1e999999999999", "99999999999"} {
		_, ok := int32Of(text)
		require.False(t, ok, text)
	}
}

// The scanner accepts exactly what encoding/json accepts, but for depth.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `[1,2.5e-3,-0,"a\u0041\n",true,false,null,{"a":[{}]}]`, `[01]`, `[1.]`, `{"a" : 1 , "b":[ ]}`, `["\ud83d"]`, "[\"\x01\"]", `[1,]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || s[0] != '[' && s[0] != '{' {
			return
		}
		p := parser{text: s}
		if ok := p.value(0); ok {
			require.True(t, json.Valid([]byte(s[:p.at])), "%q", s[:p.at])
		} else if json.Valid([]byte(s)) {
			require.Greater(t, strings.Count(s, "[")+strings.Count(s, "{"), maxLevels, "%q", s)
		}
	})
}

func FuzzReadVerdicts(f *testing.F) {
	for _, c := range golden.Lines[replyCase](f, golden.Path(f, "reward", "judge", "replies.jsonl")) {
		if len(c.Reply) < 2000 {
			f.Add(c.Reply)
		}
	}
	items := append(suggest(1, 2, 5), rubric.Item{ID: 3, Type: rubric.ANSWER, Text: "42"})
	f.Fuzz(func(t *testing.T, reply string) {
		got, err := ReadVerdicts(reply, items, 3)
		require.NotEqual(t, got == nil, err == nil)
		if err != nil {
			return
		}
		require.Len(t, got, 3)
		for i, id := range []int32{1, 2, 5} {
			require.Equal(t, id, got[i].ID)
			require.True(t, -1 <= got[i].Step && got[i].Step <= 3)
		}
		// What was read says the same when it is written plainly.
		again, err := ReadVerdicts(plain(got), items, 3)
		require.Nil(t, err)
		require.Equal(t, got, again)
	})
}

func plain(set []Verdict) string {
	type out struct {
		ID        int32 `json:"id"`
		Satisfied bool  `json:"satisfied"`
		Step      int32 `json:"step"`
	}
	list := []out{}
	for _, v := range set {
		list = append(list, out(v))
	}
	b, _ := json.Marshal(list)
	return string(b)
}

// A complete set is read whatever prose surrounds it, and a second, different
// set beside it never wins.
func TestVerdictsInProse(t *testing.T) {
	items := suggest(1, 2, 3)
	set := rapid.Custom(func(t *rapid.T) []Verdict {
		var out []Verdict
		for _, it := range items {
			out = append(out, Verdict{it.ID, rapid.Bool().Draw(t, "satisfied"), rapid.Int32Range(-1, 4).Draw(t, "step")})
		}
		return out
	})
	prose := rapid.StringMatching(`([a-z .,\]\}:"]|\[[0-9]\]|\{x\}|` + "```json\n" + `){0,30}`)
	rapid.Check(t, func(t *rapid.T) {
		want, other := set.Draw(t, "set"), set.Draw(t, "other")
		text := prose.Draw(t, "before") + "\n" + plain(want) + "\n" + prose.Draw(t, "after")
		got, err := ReadVerdicts(text, items, 4)
		require.Nil(t, err)
		require.Equal(t, want, got)
		got, err = ReadVerdicts(text+plain(other), items, 4)
		if plain(want) == plain(other) {
			require.Nil(t, err)
			require.Equal(t, want, got)
		} else {
			require.Equal(t, ClassAmbiguous, err.Class)
		}
	})
}

// A long run of openings is read, however it nests: the worst case looks at a
// byte about maxLevels times. Without that bound this test does not end.
func TestReadVerdictsEnds(t *testing.T) {
	answer := plain([]Verdict{{1, true, 1}})
	for name, unit := range map[string]string{
		"open lists": "[", "open objects": `{"a":`, "mixed": `[{"a":[`, "strings": `["`, "escapes": `["\"`, "lists": "[],", "long lists": "[[0,0],", "numbers": "[1",
	} {
		got, err := ReadVerdicts(strings.Repeat(unit, 1<<17/len(unit))+"\n"+answer, suggest(1), 1)
		if name == "strings" || name == "escapes" { // the answer may stand inside of a string
			continue
		}
		require.Nil(t, err, name)
		require.Equal(t, []Verdict{{1, true, 1}}, got, name)
	}
}

func FuzzReadMark(f *testing.F) {
	for _, s := range []string{"CORRECT", "incorrect.", "<think>CORRECT</think>x", "CORRECT\ufeff", "İncorrect", "\xffcorrect\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		got, err := ReadMark(reply)
		if err == nil {
			text := strings.ToLower(conclusion(reply))
			require.Contains(t, text, map[bool]string{true: "correct", false: "incorrect"}[got])
		} else {
			require.NotEmpty(t, err.Class)
		}
	})
}
