// Package answer finds the final answer in a solution and says whether it is
// the same as a reference answer.
//
// [Extract] takes the last \boxed{}. [Compare] reads both answers as mathematics
// (see package expr): numbers and expressions are equal by value, lists, sets and
// unions in any order, tuples, intervals and matrices entry by entry, equations and
// inequalities up to a factor, sets of reals by what they contain, units by what
// they measure, everything else as text.
//
// Conventions, where mathematics has none:
//
//   - A decimal with at least four places and four significant digits is the same
//     as a finer value that rounds to it: 0.3333 and 1/3, 3.1416 and pi. A shorter
//     one, such as 0.33, is the same as itself only: the data sets whose answers
//     are rounded give the digits that they want.
//   - A percentage is the same as the bare number and as the fraction: 20%, 20, 1/5.
//   - A unit on one side only does not count; two must be convertible: 1 km is
//     1000 m and not 1 m. An angle in degrees is also its value with pi.
//   - What an equation gives to a name is the same as the value alone: x = 5 and 5.
//     A condition on x is the same as the set of the x that satisfy it.
//   - A numeral to another base than ten is known by its digits: 204_5 is not 54.
//
// A false "equal" does more harm than a false "different", so what is not
// understood is compared as text. Every comparison ends: size, nesting and work
// are limited, and one that meets a limit is [Undecided].
package answer

import (
	"srar/lib/expr"
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

const (
	maxLength = 10_000  // of an answer that is read, in bytes
	maxSteps  = 200_000 // of one comparison; see [expr.Work]
)

// Compare says whether two answers are the same: [Equal], [Different] or
// [Undecided]. It is symmetric, and every answer equals itself.
func Compare(answer, reference string) Status {
	s, _ := compare(answer, reference)
	return s
}

// compare also returns the steps that it took.
func compare(answer, reference string) (Status, *expr.Work) {
	w := expr.NewWork(maxSteps)
	if answer == reference {
		return Equal, w
	}
	if len(answer) > maxLength || len(reference) > maxLength {
		return Undecided, w
	}
	a, b := tidy(answer), tidy(reference)
	if a == b {
		return Equal, w
	}
	if isDigits(a) && isDigits(b) {
		if trimZeros(a) == trimZeros(b) {
			return Equal, w
		}
		return Different, w
	}
	c := comparer{w: w}
	left, right := c.readings(a), c.readings(b)
	for _, x := range left {
		for _, y := range right {
			if c.sameAnswer(x, y) {
				return Equal, w
			}
		}
	}
	if c.sameSpelling(a, b) || sameChoice(a, b) {
		return Equal, w
	}
	if c.limited || w.Left() < 0 {
		return Undecided, w
	}
	return Different, w
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// trimZeros drops leading zeros, but not the last digit.
func trimZeros(s string) string {
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return s
}
