package judge

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"

	"srar/lib/rubric"
)

// rule stands before the first quotation of every prompt.
const rule = `A quotation runs from its BEGIN line to the END line that ends in the same code. Lines with any other code belong to the quoted text.

`

// Names of the quotations.
const (
	nameProblem  = "problem"
	nameCriteria = "criteria"
	nameTruth    = "reference answer"
	namePreamble = "text before step 1"
	nameStep     = "step "
)

// quoter writes quotations. The code of each comes from a digest of all text
// quoted so far, so equal questions have equal bytes, and a quotation never
// holds its own code, so no text can end its quotation.
type quoter struct {
	b strings.Builder
	h hash.Hash
}

func newQuoter() *quoter { return &quoter{h: sha256.New()} }

func (q *quoter) quote(name, text string) {
	code := nextCode(q.h, name, text)
	q.b.WriteString("BEGIN " + name + " " + code + "\n")
	q.b.WriteString(text)
	q.b.WriteString("\nEND " + name + " " + code + "\n\n")
}

func (q *quoter) solution(preamble string, steps []string) {
	if preamble != "" {
		q.quote(namePreamble, preamble)
	}
	for k, s := range steps {
		q.quote(nameStep+strconv.Itoa(k+1), s)
	}
}

// nextCode takes a quotation into h and returns its code: eight hexadecimal
// digits that text does not contain.
func nextCode(h hash.Hash, name, text string) string {
	field(h, name)
	field(h, text)
	sum := h.Sum(nil)
	for {
		code := hex.EncodeToString(sum[:4])
		if !strings.Contains(text, code) {
			return code
		}
		next := sha256.Sum256(sum)
		sum = next[:]
	}
}

// field writes s and its length, so that fields cannot run into each other.
func field(h hash.Hash, s string) {
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
	h.Write([]byte(s))
}

// unquoter reads what a quoter wrote.
type unquoter struct{ rest string }

func newUnquoter(text, opening string) (*unquoter, bool) {
	rest, ok := strings.CutPrefix(text, opening)
	return &unquoter{rest: rest}, ok
}

// next says whether a quotation of that name follows.
func (u *unquoter) next(name string) bool { return strings.HasPrefix(u.rest, "BEGIN "+name+" ") }

func (u *unquoter) quoted(name string) (string, bool) {
	rest, ok := strings.CutPrefix(u.rest, "BEGIN "+name+" ")
	if !ok {
		return "", false
	}
	code, rest, ok := strings.Cut(rest, "\n")
	if !ok {
		return "", false
	}
	// The code is not in the text, so the first such line is the end.
	text, rest, ok := strings.Cut(rest, "\nEND "+name+" "+code+"\n\n")
	u.rest = rest
	return text, ok
}

func (u *unquoter) solution() (preamble string, steps []string, ok bool) {
	ok = true
	if u.next(namePreamble) {
		preamble, ok = u.quoted(namePreamble)
	}
	for ok && u.next(nameStep+strconv.Itoa(len(steps)+1)) {
		var s string
		s, ok = u.quoted(nameStep + strconv.Itoa(len(steps)+1))
		steps = append(steps, s)
	}
	return preamble, steps, ok
}

// indent begins the further lines of an item that has several.
const indent = "    "

// renderItems writes one item a line: `3. SUGGEST: text`.
func renderItems(items []rubric.Item) string {
	lines := make([]string, len(items))
	for i, it := range items {
		lines[i] = strconv.Itoa(int(it.ID)) + ". " + it.Type + ": " + strings.ReplaceAll(it.Text, "\n", "\n"+indent)
	}
	return strings.Join(lines, "\n")
}

func parseItems(text string) ([]rubric.Item, bool) {
	if text == "" {
		return nil, true
	}
	var items []rubric.Item
	for _, line := range strings.Split(text, "\n") {
		if more, ok := strings.CutPrefix(line, indent); ok && len(items) > 0 {
			items[len(items)-1].Text += "\n" + more
			continue
		}
		id, rest, ok1 := strings.Cut(line, ". ")
		typ, body, ok2 := strings.Cut(rest, ": ")
		n, err := strconv.ParseInt(id, 10, 32)
		if !ok1 || !ok2 || err != nil {
			return nil, false
		}
		items = append(items, rubric.Item{ID: int32(n), Type: typ, Text: body})
	}
	return items, true
}
