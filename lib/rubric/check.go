package rubric

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// All stands for items of any type in [Figures] and [PaperItems].
const All = ""

// The figures of the data set of the paper: items of each type a problem, and
// words an item (arXiv 2605.17291).
var PaperItems = map[string]float64{SUGGEST: 4.59, PITFALL: 1.26, BONUS: 0.67, ANSWER: 1.00, All: 7.52}

// PaperWords is how many words an item of the paper's data set has on average.
const PaperWords = 18.5

// Figures counts the items of rubrics and their words. The zero value is that of
// no rubrics.
type Figures struct {
	rubrics      int
	items, words map[string]int // by type, and for All
}

// Add counts the items of one rubric.
func (f *Figures) Add(items []Item) {
	if f.items == nil {
		f.items, f.words = map[string]int{}, map[string]int{}
	}
	f.rubrics++
	for _, item := range items {
		for _, typ := range []string{item.Type, All} {
			f.items[typ]++
			f.words[typ] += len(strings.Fields(item.Text))
		}
	}
}

// Items returns how many items of a type there are.
func (f *Figures) Items(typ string) int { return f.items[typ] }

// ItemsPerRubric returns how many items of a type a rubric has on average, 0
// without rubrics.
func (f *Figures) ItemsPerRubric(typ string) float64 { return ratio(f.items[typ], f.rubrics) }

// WordsPerItem returns how many words, parted by white space, an item of a type
// has on average, 0 without such items.
func (f *Figures) WordsPerItem(typ string) float64 { return ratio(f.words[typ], f.items[typ]) }

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// MaxItems is how many items a rubric is to have at most.
const MaxItems = 8

// Finding says what is suspicious in a rubric.
type Finding struct {
	Kind string // the same for findings of one kind
	Line int32  // of the item; 0 for the rubric as a whole
	Text string // what it is about
}

// Check returns what is suspicious in a rubric, by what the paper asks of its
// rubrics: at least one SUGGEST item, exactly one ANSWER, at most [MaxItems]
// items, none of them twice, about the format, or about a sample; and items that
// a judge sees do not give the answer away ("" where it is not known). An empty
// rubric has no findings.
func Check(items []Item, answer string) (found []Finding) {
	if len(items) == 0 {
		return nil
	}
	whole := func(kind, format string, a ...any) {
		found = append(found, Finding{kind, 0, fmt.Sprintf(format, a...)})
	}
	count := map[string]int{}
	for _, item := range items {
		count[item.Type]++
	}
	if count[SUGGEST] == 0 {
		whole("no SUGGEST item", "of %d in all", len(items))
	}
	if count[ANSWER] == 0 {
		whole("no ANSWER item", "of %d in all", len(items))
	}
	if count[ANSWER] > 1 {
		whole("several ANSWER items", "%d", count[ANSWER])
	}
	if len(items) > MaxItems {
		whole("too many items", "%d where %d are the most", len(items), MaxItems)
	}
	first := map[string]int32{} // line of each text
	for _, item := range items {
		key := strings.ToLower(strings.Join(strings.Fields(item.Text), " "))
		if line, ok := first[key]; ok {
			found = append(found, Finding{"duplicate item", item.ID, fmt.Sprintf("that of line %d", line)})
		} else {
			first[key] = item.ID
		}
		if item.Type == ANSWER {
			continue
		}
		about := func(kind string) { found = append(found, Finding{kind, item.ID, fmt.Sprintf("%q", item.Text)}) }
		if givesAway(item.Text, answer) {
			about("the answer in " + item.Type)
		}
		if format.MatchString(item.Text) {
			about("a check of the format")
		}
		if sample.MatchString(item.Text) {
			about("a mention of a sample")
		}
	}
	return found
}

var (
	// format finds items about how a solution looks.
	format = regexp.MustCompile(`(?i)\\boxed|\bboxe[ds]\b|###|\bheadings?\b|\bformat(?:s|ted|ting)?\b|\blatex\b`)
	// sample finds items about one of the solutions that a rubric was made from.
	sample = regexp.MustCompile(`\b(?i:samples?|solution|response|attempt|rollout|candidate)\s+(?:#?\d+|[A-H])\b|` +
		`(?i)\b(?:sampled?|other|correct|incorrect|wrong|above|given)\s+(?:solutions?|responses?|rollouts?|attempts?)\b`)
	// final finds items that speak of the answer.
	final = regexp.MustCompile(`(?i)\b(?:final|answers?|results?|concludes?|reports?)\b|\\boxed`)
)

// givesAway reports whether a text holds the answer. Digits and letters that
// stand alone are in many texts: they count where the text speaks of an answer.
func givesAway(text, answer string) bool {
	return Mentions(text, answer) && (len([]rune(strings.Trim(answer, "$ "))) > 1 || final.MatchString(text))
}

// Mentions reports whether a text holds the answer, word by word: 37 is in
// "m+n = 37." and not in "1370" or "37.5". Blanks, dollars, braces and \left,
// \right are nothing in either. An empty answer is in no text.
func Mentions(text, answer string) bool {
	have, want := words(text), words(answer)
	if len(want) == 0 {
		return false
	}
	for i := 0; i+len(want) <= len(have); i++ {
		if slices.Equal(have[i:i+len(want)], want) {
			return true
		}
	}
	return false
}

// nothing are words that do not change what is written.
var nothing = []string{"$", "{", "}", `\left`, `\right`, `\,`, `\!`, `\;`, `\(`, `\)`, `\[`, `\]`}

// words parts a text into numbers, words, commands and signs.
func words(text string) (out []string) {
	runes := []rune(strings.NewReplacer(`\dfrac`, `\frac`, `\tfrac`, `\frac`, "\u2212", "-").Replace(text))
	for i := 0; i < len(runes); {
		from := i
		c := runes[i]
		i++
		switch {
		case unicode.IsSpace(c):
			continue
		case unicode.IsDigit(c):
			for i < len(runes) && (unicode.IsDigit(runes[i]) || i+1 < len(runes) && (runes[i] == '.' || runes[i] == ',') && unicode.IsDigit(runes[i+1])) {
				i++
			}
			out = append(out, number(string(runes[from:i])))
			continue
		case unicode.IsLetter(c) || c == '\\' && i < len(runes) && unicode.IsLetter(runes[i]):
			for i < len(runes) && unicode.IsLetter(runes[i]) {
				i++
			}
		case c == '\\' && i < len(runes):
			i++
		}
		if word := string(runes[from:i]); !slices.Contains(nothing, word) {
			out = append(out, word)
		}
	}
	return out
}

var thousands = regexp.MustCompile(`^\d{1,3}(?:,\d{3})+(?:\.\d+)?$`)

// number drops the commas between thousands.
func number(s string) string {
	if thousands.MatchString(s) {
		return strings.ReplaceAll(s, ",", "")
	}
	return s
}
