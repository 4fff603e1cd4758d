// Package answer finds the final answer in a solution and says whether it is
// the same as a reference answer.
//
// [Extract] takes the last \boxed{}. [Compare] reads both answers as
// mathematics: exact rationals, radicals and polynomials, percentages, tuples,
// intervals, sets, lists, equations, matrices, and text where nothing else fits.
// Values are compared exactly, in rationals; nested radicals that the algebra
// leaves open are the same if they agree to 60 digits. One rule is looser: a
// decimal of at least four places is the same as a value that rounds to it.
//
// A false "equal" does more harm than a false "different", so what is not
// understood is compared as text. Every comparison ends: size, nesting and work
// are limited, and one that meets a limit is [Undecided].
package answer

import (
	"errors"
	"strings"
)

// Status says how an answer relates to the reference.
type Status string

const (
	Equal     Status = "equal"
	Different Status = "different"
	Absent    Status = "absent"    // the response holds no answer
	Undecided Status = "undecided" // the comparison met a limit
	Unknown   Status = "unknown"   // there is no reference
)

// Check extracts the answer of a response and compares it with reference; nil
// means that there is none. found says whether there is an answer.
func Check(response string, reference *string) (answer string, found bool, s Status) {
	answer, found = Extract(response)
	switch {
	case reference == nil:
		return answer, found, Unknown
	case !found:
		return "", false, Absent
	}
	return answer, true, Compare(answer, *reference)
}

// maxLength is the length of the longest answer that is read, in bytes.
const maxLength = 10_000

// Compare says whether two answers are the same: [Equal], [Different] or
// [Undecided]. It is symmetric, and every answer equals itself.
func Compare(answer, reference string) Status {
	if answer == reference {
		return Equal
	}
	if len(answer) > maxLength || len(reference) > maxLength {
		return Undecided
	}
	a, b := tidy(answer), tidy(reference)
	if a == b {
		return Equal
	}
	m := &machine{steps: maxSteps}
	left, err1 := m.readings(a)
	right, err2 := m.readings(b)
	if err1 == nil && err2 == nil {
		for _, x := range left {
			for _, y := range right {
				same := m.same(x, y)
				if m.steps < 0 {
					return Undecided
				}
				if same {
					return Equal
				}
			}
		}
		return Different
	}
	if sameText(a, b) {
		return Equal
	}
	if errors.Is(err1, errLimit) || errors.Is(err2, errLimit) {
		return Undecided
	}
	return Different
}

// maxSteps bounds the work of one comparison, counted in products of terms and
// characters read.
const maxSteps = 200_000

var (
	errSyntax = errors.New("answer: not understood")
	errLimit  = errors.New("answer: too large")
)

// machine does the arithmetic of one comparison and counts its steps.
type machine struct {
	steps int
	roots map[string]expr // what stands under the radicals in use, by name
}

// spend counts n steps and says whether there are any left.
func (m *machine) spend(n int) bool {
	m.steps -= n
	return m.steps >= 0
}

// sameText compares answers that are no mathematics: spaces and the letter case
// of words do not matter.
func sameText(a, b string) bool { return plainText(a) == plainText(b) }

func plainText(s string) string {
	s, words := unwrapText(s)
	if words {
		return strings.ToLower(strings.Join(strings.Fields(strings.Trim(s, " .,;:!()")), " "))
	}
	return strings.Join(strings.Fields(s), "")
}
