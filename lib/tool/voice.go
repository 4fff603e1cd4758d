package tool

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// voice is what a command says on standard error: one line a message, lower
// case, after its name; or one JSON object a line.
type voice struct {
	name  string
	quiet bool
	json  bool

	mu    sync.Mutex
	w     io.Writer
	tty   bool
	bar   bool          // the cursor stands behind a progress line
	end   chan struct{} // asks the progress line to end; nil without one
	ended chan struct{} // says that it has
}

func newVoice(name string, f *os.File) *voice {
	return &voice{name: name, w: f, tty: term.IsTerminal(int(f.Fd()))}
}

// say prints one line. Errors and warnings are printed with --quiet too.
func (v *voice) say(level, text string) { v.tell(level, text, nil) }

// tell is say with figures that only JSON shows; nil for none.
func (v *voice) tell(level, text string, figures any) {
	if v.quiet && level == "info" {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
	if v.json {
		b, err := json.Marshal(struct {
			Time    string `json:"time"`
			Level   string `json:"level"`
			Command string `json:"command"`
			Message string `json:"message"`
			Summary any    `json:"summary,omitempty"`
		}{time.Now().UTC().Format(time.RFC3339Nano), level, v.name, text, figures})
		if err == nil {
			fmt.Fprintf(v.w, "%s\n", b)
		}
		return
	}
	switch level {
	case "hint":
		fmt.Fprintf(v.w, "hint: %s\n", text)
	case "warning":
		fmt.Fprintf(v.w, "%s: warning: %s\n", v.name, text)
	default:
		fmt.Fprintf(v.w, "%s: %s\n", v.name, text)
	}
}

// clear wipes a progress line.
func (v *voice) clear() {
	if v.bar {
		fmt.Fprint(v.w, "\r\x1b[K")
		v.bar = false
	}
}

func (v *voice) fail(err error) {
	v.say("error", oneLine(err.Error()))
	if h := hintOf(err); h != "" {
		v.say("hint", h)
	}
}

// Logf says something worth knowing; --quiet silences it.
func (t *Tool) Logf(format string, a ...any) { t.voice.say("info", fmt.Sprintf(format, a...)) }

// Summarize says in lines what a run has done. With --log json they are one
// message, and figures, which are marshalled, stand beside it as "summary".
func (t *Tool) Summarize(lines []string, figures any) {
	if t.voice.json {
		t.voice.tell("info", strings.Join(lines, "; "), figures)
		return
	}
	for _, l := range lines {
		t.Logf("%s", l)
	}
}

// Warnf says something that the user should act on.
func (t *Tool) Warnf(format string, a ...any) { t.voice.say("warning", fmt.Sprintf(format, a...)) }

// Progress shows line, called from another goroutine, until the command ends:
// in place on a terminal, as a line every few seconds elsewhere. It is for
// commands that run long; call it once.
func (t *Tool) Progress(line func() string) {
	v := t.voice
	if v.quiet {
		return
	}
	every := 5 * time.Second
	if v.tty && !v.json {
		every = 200 * time.Millisecond
	}
	v.end = make(chan struct{})
	v.ended = make(chan struct{})
	go func() {
		defer close(v.ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-v.end:
				return
			case <-tick.C:
			}
			text := line()
			if !v.tty || v.json {
				v.say("info", text)
				continue
			}
			v.mu.Lock()
			fmt.Fprintf(v.w, "\r\x1b[K%s: %s", v.name, text)
			v.bar = true
			v.mu.Unlock()
		}
	}()
}

// stop ends the progress line.
func (v *voice) stop() {
	if v.end != nil {
		close(v.end)
		<-v.ended
		v.end = nil
	}
	v.mu.Lock()
	v.clear()
	v.mu.Unlock()
}
