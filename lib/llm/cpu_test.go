package llm

import (
	"testing"

	"github.com/stretchr/testify/require"

	"srar/lib/op"
)

// both are the arithmetics that laws hold in.
var both = []op.Numerics{op.F32, op.BF16}

func backendOf(t testing.TB, threads int, n op.Numerics) op.Backend {
	be, err := op.NewCPU(threads, n)
	require.NoError(t, err)
	t.Cleanup(be.Close)
	return be
}
