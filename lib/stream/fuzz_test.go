package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

// fuzzLimits keep one input within a few MB.
var fuzzLimits = Limits{Metadata: 1 << 20, Body: 1 << 20, Decoded: 1 << 20, Rows: 1 << 12}

// exercise reads an input that may be anything, walks every value of what comes
// out, and writes it: what was accepted must be accepted again, unchanged.
func exercise(t require.TestingT, in []byte) {
	r := NewReader(bytes.NewReader(in), "fuzz", fuzzLimits)
	s, batches, err := drain(r)
	require.NoError(t, r.Close())
	if err != nil {
		requireInputError(t, err)
		require.NotErrorIs(t, err, io.EOF)
	} else {
		require.Equal(t, digest(in), r.Digest())
	}
	if s == nil {
		return
	}
	var all []string
	for _, b := range batches {
		all = append(all, rows([]*Batch{b})...)
		backwards := make([]int, b.Len())
		for i := range backwards {
			backwards[i] = b.Len() - 1 - i
		}
		require.Equal(t, rows([]*Batch{b}), rows([]*Batch{b.Take(backwards).Take(backwards)}))
		for _, c := range b.cols {
			touch(c)
		}
	}
	if len(all) > 1<<12 {
		return
	}
	s2, again, err := readAll(encode(t, s, batches, Options{}))
	require.NoError(t, err)
	require.Equal(t, describe(s), describe(s2))
	require.Equal(t, all, rows(again))
}

// touch calls every accessor that fits c.
func touch(c *Column) {
	for i := range c.Len() {
		c.Null(i)
		switch c.Type().Kind {
		case Bool:
			c.Bool(i)
		case Int32:
			_ = c.Int32s()[i]
		case Int64:
			_ = c.Int64s()[i]
		case Uint64:
			_ = c.Uint64s()[i]
		case Float32:
			_ = c.Float32s()[i]
		case Float64:
			_ = c.Float64s()[i]
		case Utf8:
			_ = c.Text(i)
		case List:
			lo, hi := c.Bounds(i)
			_ = c.Elem().Type()
			if lo > hi || hi > c.Elem().Len() {
				panic("bounds")
			}
		}
	}
	switch c.Type().Kind {
	case List:
		touch(c.Elem())
	case Struct:
		for _, f := range c.Type().Fields {
			touch(c.Field(f.Name))
		}
	}
}

// FuzzReader gives the reader any bytes after the form of a stream.
func FuzzReader(f *testing.F) {
	for _, in := range inputs(f) {
		if !bytes.HasPrefix(in, []byte("ARROW1")) && len(in) < 7000 {
			f.Add(in)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) { exercise(t, in) })
}

// FuzzFile gives the reader any bytes after the form of a file.
func FuzzFile(f *testing.F) {
	for _, in := range inputs(f) {
		if bytes.HasPrefix(in, []byte("ARROW1")) && len(in) < 7000 {
			f.Add(in)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) { exercise(t, in) })
}
