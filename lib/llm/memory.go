package llm

import "fmt"

// MemoryError is the error of a sequence whose keys and values do not fit in
// [Model.CacheBytes] even alone.
type MemoryError struct {
	Positions    int   // of the sequence, prompt included
	Needed, Most int64 // bytes
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("keys and values of %d positions take %.4g MiB, %.4g MiB are left for them", e.Positions, mebi(e.Needed), mebi(e.Most))
}

func mebi(n int64) float64 { return float64(n) / (1 << 20) }

// checkMemory returns an error for a sequence of n positions that cannot fit.
func (g *generator) checkMemory(n int) error {
	if need := g.cacheBytes(n); need > g.m.CacheBytes {
		return &MemoryError{n, need, g.m.CacheBytes}
	}
	return nil
}

// Bound sets CacheBytes, and MaxRows if it must, so that Generate with what is
// loaded takes at most memory bytes: a quarter of what weights and activations
// leave is kept for sequences that enter and grow. An error says what is needed.
func (m *Model) Bound(memory int64) error {
	for rows := m.MaxRows; ; rows /= 2 {
		left := memory - m.be.Held() - m.stepBytes(max(rows, 1))
		if left > 0 && (rows <= 8 || left > memory/16) {
			m.CacheBytes, m.MaxRows = left/4*3, max(rows, 1)
			return nil
		}
		if rows <= 1 {
			return fmt.Errorf("weights and activations take %.4g MiB, the bound is %.4g MiB", mebi(m.be.Held()+m.stepBytes(1)), mebi(memory))
		}
	}
}

// stepBytes returns the memory of a step of Generate beside weights and caches,
// buffers grown with their reserve.
func (m *Model) stepBytes(rows int) int64 {
	c := &m.cfg
	tokens := roundUp(stepTokens + rows)
	logits := min(roundUp(rows), m.logitRows) * c.Vocab
	floats := tokens*m.actWidth(false) + 4*rows*c.Hidden + 2*logits // on the backend, and read back
	return int64(floats) * 4 * 5 / 4
}
