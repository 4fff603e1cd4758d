package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An ANSWER item states the ground truth in whatever words and form.
func TestStates(t *testing.T) {
	for _, c := range []struct {
		text, truth string
		want        bool
	}{
		{"37", "37", true},
		{"The final reported m+n equals 37.", "37", true},
		{"The final reported m+n equals 38.", "37", false},
		{"The answer is $\\frac12$.", "0.5", true},
		{"The answer is one of 1/2 and 1/3", "\\frac{1}{3}", true},
		{"x = 5", "5", true},
		{"It is \\boxed{\\dfrac{3}{4}}, exactly", "0.75", true},
		{"Ends with 1,234 apples", "1234", true},
		{"Ends with 50% of them", "50\\%", true},
		{"The interval is $[0, 1)$", "[0,1)", true},
		{"The interval is $[0, 1]$", "[0,1)", false},
		{"No solution exists", "No solution", true},
		{"", "37", false},
	} {
		require.Equal(t, c.want, states(c.text, c.truth), "%q in %q", c.truth, c.text)
	}
}
