package main

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The memory of the command is that of a few groups, however long the stream.
func TestMemoryIsThatOfAGroup(t *testing.T) {
	c, read, wrote := flow(t, 500)
	require.Greater(t, read, int64(120<<20))
	require.Greater(t, wrote, read)
	peak := int64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) << 10 // given in KiB
	t.Logf("%d MiB read, %d MiB written, at most %d MiB resident", read>>20, wrote>>20, peak>>20)
	require.Less(t, peak, int64(64<<20))
}
