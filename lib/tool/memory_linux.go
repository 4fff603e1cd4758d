package tool

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FreeMemory returns how many bytes this process may still take without
// swapping: what the machine has available or, if that is less, what the limits
// of its control groups (those of a container or a Slurm job) leave. Cached files,
// which the system drops for it, are free in both. It returns 0 where the system
// does not say.
func FreeMemory() int64 { return freeMemory("/") }

func freeMemory(root string) int64 {
	free := field(filepath.Join(root, "proc/meminfo"), "MemAvailable:") * 1024
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return free
	}
	for line := range strings.Lines(string(groups)) {
		// 0::/path is the unified hierarchy; N:...,memory,...:/path the older one's.
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		at, limit, used, files := "sys/fs/cgroup", "memory.max", "memory.current", "active_file "
		if part[0] != "0" {
			if !strings.Contains(","+part[1]+",", ",memory,") {
				continue
			}
			at, limit, used, files = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file "
		}
		for dir := filepath.Clean("/" + part[2]); ; dir = filepath.Dir(dir) {
			here := filepath.Join(root, at, dir)
			if most := number(filepath.Join(here, limit)); most > 0 {
				stat := filepath.Join(here, "memory.stat")
				cached := field(stat, files) + field(stat, strings.Replace(files, "active", "inactive", 1))
				left := min(max(most-number(filepath.Join(here, used))+cached, 1), most)
				if free == 0 || left < free {
					free = left
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return free
}

// number reads a file that holds one number; 0 for anything else, such as "max".
func number(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// field returns the number after a name at the start of a line.
func field(path, name string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var n int64
		if rest, ok := strings.CutPrefix(s.Text(), name); ok {
			if _, err := fmt.Sscan(rest, &n); err == nil {
				return n
			}
		}
	}
	return 0
}
