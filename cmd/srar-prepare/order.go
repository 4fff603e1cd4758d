package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"srar/lib/stream"
	"srar/lib/tool"
)

// holder holds prompts back to give them out in another order, or several
// times.
type holder struct {
	limit   int // 0 for none
	shuffle bool
	seed    uint64
	repeat  int

	batches []*stream.Batch
	rows    []ref
	ids     []string // of rows
}

// ref is a row of a batch.
type ref struct{ batch, row int }

func (h *holder) hold(b *stream.Batch) error {
	id := b.Column("prompt_id")
	for i := range b.Len() {
		h.rows = append(h.rows, ref{len(h.batches), i})
		h.ids = append(h.ids, id.Text(i))
	}
	h.batches = append(h.batches, b)
	return nil
}

// batchRows is how many prompts come in one batch.
const batchRows = 256

// release writes what is held: the first limit rows, repeat times. A limit
// without shuffling was kept to before.
func (h *holder) release(ctx context.Context, write func(*stream.Batch) error) error {
	order := make([]int, len(h.rows))
	for i := range order {
		order[i] = i
	}
	for n := 1; n <= h.repeat; n++ {
		if h.shuffle {
			h.sort(order, n)
		}
		if n == 1 {
			if h.limit > 0 {
				order = order[:min(h.limit, len(order))]
			}
			if err := h.checkNames(order); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(order, batchRows) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := write(h.gather(part, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sort puts rows into the order of repetition n: that of a hash of seed,
// repetition and id.
func (h *holder) sort(order []int, n int) {
	keys := make(map[int]uint64, len(order))
	for _, i := range order {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", h.seed, n, h.ids[i]))
		keys[i] = binary.BigEndian.Uint64(sum[:])
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(keys[a], keys[b]), cmp.Compare(h.ids[a], h.ids[b])) })
}

// name is the id of a prompt in repetition n.
func name(id string, n int) string {
	if n == 1 {
		return id
	}
	return id + "#" + strconv.Itoa(n)
}

// checkNames is an error where a prompt of the data is called as a repetition
// of another will be.
func (h *holder) checkNames(order []int) error {
	if h.repeat == 1 {
		return nil
	}
	have := make(map[string]bool, len(order))
	for _, i := range order {
		have[h.ids[i]] = true
	}
	for _, i := range order {
		at := strings.LastIndexByte(h.ids[i], '#')
		if at < 0 || !have[h.ids[i][:at]] {
			continue
		}
		n, err := strconv.Atoi(h.ids[i][at+1:])
		if err == nil && 2 <= n && n <= h.repeat && name(h.ids[i][:at], n) == h.ids[i] {
			return tool.Inputf("prompt_id %q is in the data, and that of repetition %d of %q", h.ids[i], n, h.ids[i][:at])
		}
	}
	return nil
}

// gather makes a batch of the given rows for repetition n.
func (h *holder) gather(order []int, n int) *stream.Batch {
	picks := make([]ref, len(order))
	ids := make([]string, len(order))
	var used []*stream.Batch
	place := map[int]int{} // of a batch in used
	for k, i := range order {
		r := h.rows[i]
		at, ok := place[r.batch]
		if !ok {
			at = len(used)
			place[r.batch] = at
			used = append(used, h.batches[r.batch])
		}
		picks[k], ids[k] = ref{at, r.row}, name(h.ids[i], n)
	}
	var cols []stream.Named
	for _, f := range used[0].Schema().Fields {
		parts := make([]*stream.Column, len(used))
		for k, b := range used {
			parts[k] = b.Column(f.Name)
		}
		cols = append(cols, stream.Named{Name: f.Name, Nullable: f.Nullable, Column: gather(parts, picks)})
	}
	return stream.NewBatch(len(picks), cols...).With(stream.Named{Name: "prompt_id", Column: stream.NewTexts(ids, nil)})
}

// gather makes a column of rows of several columns of one type.
func gather(parts []*stream.Column, picks []ref) *stream.Column {
	typ := parts[0].Type()
	var null []bool
	for k, p := range picks {
		if parts[p.batch].Null(p.row) {
			if null == nil {
				null = make([]bool, len(picks))
			}
			null[k] = true
		}
	}
	switch typ.Kind {
	case stream.Bool:
		return stream.NewBools(values(parts, picks, (*stream.Column).Bool), null)
	case stream.Int32:
		return stream.NewInt32s(values(parts, picks, at((*stream.Column).Int32s)), null)
	case stream.Int64:
		return stream.NewInt64s(values(parts, picks, at((*stream.Column).Int64s)), null)
	case stream.Uint64:
		return stream.NewUint64s(values(parts, picks, at((*stream.Column).Uint64s)), null)
	case stream.Float32:
		return stream.NewFloat32s(values(parts, picks, at((*stream.Column).Float32s)), null)
	case stream.Float64:
		return stream.NewFloat64s(values(parts, picks, at((*stream.Column).Float64s)), null)
	case stream.Utf8:
		return stream.NewTexts(values(parts, picks, (*stream.Column).Text), null)
	case stream.List:
		offsets := []int32{0}
		var inner []ref
		for _, p := range picks {
			lo, hi := parts[p.batch].Bounds(p.row)
			for j := lo; j < hi; j++ {
				inner = append(inner, ref{p.batch, j})
			}
			offsets = append(offsets, int32(len(inner)))
		}
		elem := gather(within(parts, (*stream.Column).Elem), inner)
		return stream.NewLists(offsets, elem, typ.Elem.Nullable, null)
	case stream.Struct:
		var fields []stream.Named
		for _, f := range typ.Fields {
			members := within(parts, func(c *stream.Column) *stream.Column { return c.Field(f.Name) })
			fields = append(fields, stream.Named{Name: f.Name, Nullable: f.Nullable, Column: gather(members, picks)})
		}
		return stream.NewStructs(len(picks), fields, null)
	}
	panic("srar-prepare: tables have no columns of " + typ.String())
}

// within returns a part of every column.
func within(parts []*stream.Column, of func(*stream.Column) *stream.Column) []*stream.Column {
	out := make([]*stream.Column, len(parts))
	for k, c := range parts {
		out[k] = of(c)
	}
	return out
}

// values returns the picked values.
func values[T any](parts []*stream.Column, picks []ref, get func(*stream.Column, int) T) []T {
	out := make([]T, len(picks))
	for k, p := range picks {
		out[k] = get(parts[p.batch], p.row)
	}
	return out
}

// at makes of what returns all values of a column what returns one.
func at[T any](all func(*stream.Column) []T) func(*stream.Column, int) T {
	return func(c *stream.Column, i int) T { return all(c)[i] }
}
