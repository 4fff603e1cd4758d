package tool

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"1": 1, "512": 512, "512b": 512, "2K": 2048, "1.5G": 3 << 29, "800m": 800 << 20, "3TB": 3 << 40,
	} {
		var s Size
		require.NoError(t, s.Set(text), text)
		require.Equal(t, want, s, text)
		var again Size
		require.NoError(t, again.Set(s.String()))
		require.InEpsilon(t, float64(s), float64(again), 1e-3, text)
	}
	for _, text := range []string{"", "G", "0", "-1G", "1X", "NaN", "InfG", "1e30", "1G2", "0.5"} {
		var s Size
		require.Error(t, s.Set(text), text)
	}
	require.Equal(t, "1.5G", Size(3<<29).String())
}
