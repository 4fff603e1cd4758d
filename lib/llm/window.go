package llm

import "fmt"

// WindowError says that a sequence is longer than the model's sliding window.
// From there on a token sees only the last Window positions, itself included,
// which is not computed. The last token of a response does not count: nothing
// is computed after it.
type WindowError struct {
	Positions int // of prompt and response
	Window    int
}

func (e *WindowError) Error() string {
	return fmt.Sprintf("%d positions are more than the model's sliding window of %d", e.Positions, e.Window)
}

// checkWindow returns an error unless every token of a sequence sees all before
// it.
func (m *Model) checkWindow(positions int) error {
	if w := m.cfg.Window; w > 0 && positions > w {
		return &WindowError{positions, w}
	}
	return nil
}
