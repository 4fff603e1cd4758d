package tool

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFreeMemory(t *testing.T) {
	require.Greater(t, FreeMemory(), int64(1<<20))
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing known":   {nil, 0},
		"no groups":       {map[string]string{"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    5 kB\n"}, 5 << 10},
		"no limit":        {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 5 << 10},
		"a larger limit":  {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "9999\n"}, 5 << 10},
		"of the parent":   {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "4000\n", "sys/fs/cgroup/a/memory.current": "1000\n"}, 3000},
		"older hierarchy": {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "7:cpu:/x\n4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "700\n"}, 700},
		"used up":         {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4000\n", "sys/fs/cgroup/memory.current": "5000\n"}, 1},
		"cached files": {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4000\n", "sys/fs/cgroup/memory.current": "4000\n",
			"sys/fs/cgroup/memory.stat": "anon 1000\nfile 3000\ninactive_anon 600\nactive_anon 400\ninactive_file 2000\nactive_file 700\n"}, 2700},
		"cached files, older": {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n",
			"sys/fs/cgroup/memory/memory.stat": "inactive_file 1\nactive_file 2\ntotal_inactive_file 200\ntotal_active_file 30\n"}, 1230},
		"counted late": {map[string]string{"proc/meminfo": "MemAvailable: 5 kB\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4000\n", "sys/fs/cgroup/memory.current": "10\n",
			"sys/fs/cgroup/memory.stat": "active_file 20\n"}, 4000},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(root, path)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			require.Equal(t, c.want, freeMemory(root))
		})
	}
}
