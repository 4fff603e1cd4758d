package llm

import (
	"fmt"

	"srar/lib/ckpt"
	"srar/lib/op"
)

// Computes lists the arithmetics that a command offers as --compute.
var Computes = []string{"auto", "f32", "bf16"}

// Numerics returns the arithmetic of the products that compute, one of
// [Computes], asks for (see [op.Numerics]): auto is bf16 where the weights are
// bfloat16, else f32, and never a question of the machine.
func Numerics(c ckpt.Config, compute string) (op.Numerics, error) {
	switch {
	case compute == "bf16", compute == "auto" && c.DType == "bfloat16":
		return op.BF16, nil
	case compute == "f32", compute == "auto":
		return op.F32, nil
	}
	return 0, fmt.Errorf("no arithmetic is called %q", compute)
}

// LoadCPU loads a checkpoint for this machine's processor, to compute in
// [Numerics]; close the model after use.
func LoadCPU(c *ckpt.Checkpoint, use Use, compute string, threads int) (*Model, error) {
	n, err := Numerics(c.Config, compute)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	be, err := op.NewCPU(threads, n)
	if err != nil {
		return nil, err
	}
	m, err := Load(be, c, use)
	if err != nil {
		be.Close()
		return nil, err
	}
	m.Threads = threads
	return m, nil
}

// Close closes the backend, and with it ends the life of every model on it.
func (m *Model) Close() { m.be.Close() }
