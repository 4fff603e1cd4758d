package gguf

import (
	"bytes"
	"cmp"
	"io"
	"io/fs"
	"slices"
	"time"
)

// memory is a directory of files by name.
type memory map[string][]byte

// Open is that of [fs.FS].
func (m memory) Open(name string) (fs.File, error) {
	if name == "." {
		return &listing{entries: m.entries()}, nil
	}
	b, ok := m[name]
	switch {
	case !fs.ValidPath(name):
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	case !ok:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &opened{entry{name, len(b)}, bytes.NewReader(b)}, nil
}

func (m memory) entries() []fs.DirEntry {
	var list []fs.DirEntry
	for name, b := range m {
		list = append(list, fs.FileInfoToDirEntry(entry{name, len(b)}))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return list
}

// opened is a file that is read.
type opened struct {
	entry
	*bytes.Reader
}

func (f *opened) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *opened) Size() int64                { return f.Reader.Size() }
func (f *opened) Close() error               { return nil }

// listing is the directory that is read.
type listing struct {
	entries []fs.DirEntry
	at      int
}

func (d *listing) Stat() (fs.FileInfo, error) { return root{}, nil }
func (d *listing) Close() error               { return nil }

func (d *listing) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: ".", Err: fs.ErrInvalid}
}

// ReadDir is that of [fs.ReadDirFile].
func (d *listing) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.entries[d.at:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.at += len(rest)
	return rest, nil
}

// entry describes a file.
type entry struct {
	name string
	size int
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return int64(e.size) }
func (e entry) Mode() fs.FileMode  { return 0o444 }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return false }
func (e entry) Sys() any           { return nil }

// root describes the directory.
type root struct{ entry }

func (root) Name() string      { return "." }
func (root) Mode() fs.FileMode { return fs.ModeDir | 0o555 }
func (root) IsDir() bool       { return true }
