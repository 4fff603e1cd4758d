package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"srar/lib/golden"
	"srar/lib/trial"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"srar-rollout": main})
}

// TestSettings: a number that means nothing, or more than any machine holds, is
// misuse, and said by its flag.
func TestSettings(t *testing.T) {
	for _, tc := range []struct{ flag, value, want string }{
		{"-n", "0", "-n lies in [1, 1048576], not 0"},
		{"-n", "9000000000000000000", "-n lies in [1, 1048576], not 9"},
		{"--max-rows", "9000000000000000000", "--max-rows lies in [1, 1048576], not 9"},
		{"--temperature", "0", "--temperature is above 0, not 0\nhint: --greedy"},
		{"--temperature", "1e-60", "--temperature is above 0, not 1e-60"},
		{"--temperature", "NaN", "--temperature is above 0, not NaN"},
		{"--top-p", "NaN", "--top-p lies in (0, 1], not NaN"},
		{"--min-p", "-1", "--min-p lies in [0, 1], not -1"},
		{"--repetition-penalty", "Inf", "--repetition-penalty lies in (0, 1e6], not +Inf"},
		{"--presence-penalty", "NaN", "--presence-penalty and --frequency-penalty lie in [-1e6, 1e6]"},
		{"--frequency-penalty", "-Inf", "--presence-penalty and --frequency-penalty lie in [-1e6, 1e6]"},
	} {
		r := trial.Process{Args: []string{"srar-rollout", "--model", golden.Model(t), tc.flag, tc.value}}.Run(t)
		require.Equal(t, 2, r.Status, tc.flag)
		require.Contains(t, r.Voice, tc.want)
	}
}
