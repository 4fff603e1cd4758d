package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"srar/lib/llm"
)

// store holds the groups of several steps: in memory up to a bound, the rest in
// a file on disk that has no name, so that nothing is left of it however the
// command ends.
type store struct {
	dir    string // where the file is made
	bound  int64  // bytes in memory
	held   int64
	groups []stored
	file   *os.File
	end    int64 // of the file
	buf    []byte
}

// stored is a group: its bytes, or where they lie in the file.
type stored struct {
	data []byte
	at   int64
	size int
}

func (s *store) len() int { return len(s.groups) }

// add appends a group.
func (s *store) add(g group) error {
	s.groups = append(s.groups, stored{})
	return s.put(len(s.groups)-1, g)
}

// put replaces group i.
func (s *store) put(i int, g group) error {
	s.buf = g.append(s.buf[:0])
	old := &s.groups[i]
	s.held -= int64(len(old.data))
	if s.held+int64(len(s.buf)) <= s.bound {
		s.held += int64(len(s.buf))
		*old = stored{data: append([]byte(nil), s.buf...)}
		return nil
	}
	if s.file == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	if old.data == nil && len(s.buf) <= old.size {
		old.size = len(s.buf) // in its own place
	} else {
		*old = stored{at: s.end, size: len(s.buf)}
		s.end += int64(len(s.buf))
	}
	if _, err := s.file.WriteAt(s.buf, old.at); err != nil {
		return fmt.Errorf("rows on disk: %w", err)
	}
	return nil
}

// get returns group i.
func (s *store) get(i int) (group, error) {
	g := s.groups[i]
	data := g.data
	if data == nil {
		data = make([]byte, g.size)
		if _, err := s.file.ReadAt(data, g.at); err != nil {
			return group{}, fmt.Errorf("rows on disk: %w", err)
		}
	}
	return readGroup(data), nil
}

// create makes the file and takes its name away. Where a file in use cannot lose
// its name, close does so.
func (s *store) create() (err error) {
	if err = os.MkdirAll(s.dir, 0o777); err == nil {
		s.file, err = os.CreateTemp(s.dir, ".srar-update-rows-")
	}
	if err != nil {
		return fmt.Errorf("rows on disk: %w", err)
	}
	os.Remove(s.file.Name())
	return nil
}

func (s *store) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

// spoolDir is where rows go that do not fit in memory: $TMPDIR where it is set,
// else beside the checkpoint, which is a disk, as /tmp may not be.
func spoolDir(out string) string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	return filepath.Dir(filepath.Clean(out))
}

// append writes a group: its batch, what was left out of it, and its rows, each
// number in 4 or 8 bytes and each list after its length.
func (g group) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(g.batch))
	b = binary.LittleEndian.AppendUint64(b, uint64(g.strange))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(g.rows)))
	for i := range g.rows {
		r := &g.rows[i]
		flags := uint32(0)
		for bit, on := range []bool{r.Exact, r.Masked} {
			if on {
				flags |= 1 << bit
			}
		}
		b = binary.LittleEndian.AppendUint32(b, flags)
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.Temperature))
		for _, ids := range []([]int32){r.Prompt, r.Tokens} {
			b = binary.LittleEndian.AppendUint64(b, uint64(len(ids)))
			for _, id := range ids {
				b = binary.LittleEndian.AppendUint32(b, uint32(id))
			}
		}
		for _, x := range floatLists(r) {
			b = binary.LittleEndian.AppendUint64(b, uint64(len(*x)))
			for _, f := range *x {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
			}
		}
	}
	return b
}

func floatLists(r *llm.Row) []*[]float32 {
	return []*[]float32{&r.Old, &r.Sampled, &r.Ref, &r.Advantages}
}

// readGroup reads what append wrote.
func readGroup(b []byte) group {
	word := func() uint32 {
		x := binary.LittleEndian.Uint32(b)
		b = b[4:]
		return x
	}
	long := func() int {
		x := binary.LittleEndian.Uint64(b)
		b = b[8:]
		return int(x)
	}
	g := group{batch: long(), strange: int64(long()), rows: make([]llm.Row, 0)}
	for range long() {
		flags := word()
		r := llm.Row{Exact: flags&1 != 0, Masked: flags&2 != 0, Temperature: math.Float32frombits(word())}
		for _, ids := range []*[]int32{&r.Prompt, &r.Tokens} {
			*ids = make([]int32, long())
			for i := range *ids {
				(*ids)[i] = int32(word())
			}
		}
		for _, x := range floatLists(&r) {
			*x = make([]float32, long())
			for i := range *x {
				(*x)[i] = math.Float32frombits(word())
			}
		}
		g.rows = append(g.rows, r)
	}
	return g
}
