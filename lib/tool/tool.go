// Package tool is the frame of every command: flags, usage, the voice on
// standard error, progress, signals, the standard streams and exit codes.
//
// Exit codes: 0 done; 1 failed; 2 misused; 3 the input ended early or is not
// valid; 130 and 143 interrupted by SIGINT and SIGTERM.
package tool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"srar/lib/stream"
)

// Version is that of all commands; it is part of the history in every artifact.
const Version = "0.1.0"

// Command declares a command.
type Command struct {
	Name string
	// Usage is written by hand: the line of use, the flags in words, two
	// examples. It must name every flag that Setup registers.
	Usage string
	// Streams says which of the standard streams carry rows.
	Streams Streams
	// Setup registers flags on t.Flags and returns what runs once they are
	// parsed. Outputs that the run opened are completed when it returns nil and
	// dropped when it returns an error.
	Setup func(t *Tool) func(ctx context.Context) error
}

// Streams says which standard streams of a command carry rows.
type Streams uint8

const (
	In    Streams = 1 << iota // -i FILE, else standard input
	Out                       // -o FILE, else standard output; --save, --whole, --compress
	Lines                     // no rows: -o FILE, else standard output, gets text by [Tool.Text]
	InOut = In | Out
)

// Tool is one running command.
type Tool struct {
	Flags  *flag.FlagSet
	Stdin  *os.File
	Stdout *os.File

	voice   *voice
	inPath  string
	outPath string
	save    string
	pack    string
	whole   bool
	threads int
	entry   stream.Entry
	plumb   map[string]bool // flags that do not belong into the history
	outputs []*Output
	naming  sync.Mutex // held while files get their final names
}

// Main runs the command and ends the process. It is the only place that does.
func Main(c Command) {
	os.Exit(run(c, os.Args[1:]))
}

func run(c Command, args []string) int {
	ignoreWriteSignals()
	t := &Tool{
		Flags:  flag.NewFlagSet(c.Name, flag.ContinueOnError),
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		voice:  newVoice(c.Name, os.Stderr),
		entry:  stream.Entry{Command: c.Name, Version: Version},
		plumb:  map[string]bool{},
	}
	body, err := t.parse(c, args)
	if err != nil {
		return t.end(err, nil)
	}
	if body == nil {
		return 0
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM)
	done := make(chan error, 1)
	go func() {
		err := body(ctx)
		if err == nil || errors.Is(err, stream.ErrClosed) && ctx.Err() == nil {
			err = t.complete()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return t.end(err, nil)
	case sig := <-sigs:
		// The run gets a moment to stop by itself: a judge keeps what it has paid for.
		// A second signal, or a run that waits on its input, ends at once.
		cancel(fmt.Errorf("%v", sig))
		for {
			select {
			case err := <-done:
				if err == nil { // the signal came too late
					sig = nil
				}
				return t.end(err, sig)
			case <-sigs:
			case <-time.After(grace):
				if !t.naming.TryLock() {
					continue // files get their names, or are taken away: soon over
				}
			}
			return t.end(nil, sig)
		}
	}
}

// grace is how long a run may take to notice that it was interrupted. Tests set it.
var grace = 800 * time.Millisecond

// Finish runs make, the last work of a command, which puts things where they
// stay. Make asks stop every now and then and, told that the run was interrupted,
// takes away what it has begun: the frame waits for that.
func (t *Tool) Finish(ctx context.Context, make func(stop func() error) error) error {
	t.naming.Lock()
	defer t.naming.Unlock()
	return make(func() error { return context.Cause(ctx) })
}

// parse registers and parses the flags and returns what is to be run; nil where
// --help or --version was all.
func (t *Tool) parse(c Command, args []string) (body func(context.Context) error, err error) {
	var help, version bool
	var log string
	t.Flags.BoolVar(&help, "help", false, "")
	t.Flags.BoolVar(&help, "h", false, "")
	t.Flags.BoolVar(&version, "version", false, "")
	t.Flags.BoolVar(&t.voice.quiet, "quiet", false, "")
	t.Flags.StringVar(&log, "log", "text", "")
	t.Unrecorded("help", "h", "version", "quiet", "log")
	if c.Streams&In != 0 {
		t.Flags.StringVar(&t.inPath, "i", "", "")
		t.Unrecorded("i")
	}
	if c.Streams&(Out|Lines) != 0 {
		t.Flags.StringVar(&t.outPath, "o", "", "")
		t.Unrecorded("o")
	}
	if c.Streams&Out != 0 {
		t.Flags.StringVar(&t.save, "save", "", "")
		t.Flags.StringVar(&t.pack, "compress", "", "")
		t.Flags.BoolVar(&t.whole, "whole", false, "")
		t.Unrecorded("save", "compress", "whole")
	}
	body = c.Setup(t)
	t.Flags.VisitAll(func(f *flag.Flag) {
		if dash := "--" + f.Name; len(f.Name) > 1 && !strings.Contains(c.Usage, dash) || !strings.Contains(c.Usage, "-"+f.Name) && f.Name != "h" {
			panic("tool: usage of " + c.Name + " does not name " + dash)
		}
	})
	t.Flags.SetOutput(io.Discard)
	if err := t.parseArgs(args); err != nil {
		return nil, Usagef("%v", err)
	}
	switch {
	case help:
		fmt.Fprint(t.Stdout, c.Usage)
		return nil, nil
	case version:
		fmt.Fprintf(t.Stdout, "%s %s %s/%s %s\n", c.Name, Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
		return nil, nil
	case log != "text" && log != "json":
		return nil, Usagef("--log is text or json, not %q", log)
	case t.pack != "" && t.pack != "zstd":
		return nil, Usagef("--compress is zstd, not %q", t.pack)
	case t.whole && t.save == "":
		return nil, Usagef("--whole completes the file of --save, which is missing")
	case t.pack != "" && t.save == "" && t.outPath == "":
		return nil, Usagef("--compress acts on the files of -o and --save; streams between commands stay as they are")
	}
	t.voice.json = log == "json"
	t.entry.Args = t.list(t.Flags.Visit) // those that were given
	return body, nil
}

// parseArgs parses flags and operands in any order; after "--" all are operands.
func (t *Tool) parseArgs(args []string) error {
	var operands []string
	for {
		if err := t.Flags.Parse(args); err != nil {
			if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
				return errors.New("no such flag: --" + strings.TrimPrefix(name, "-"))
			}
			return err
		}
		rest := t.Flags.Args()
		if len(rest) == 0 {
			break
		}
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			operands = append(operands, rest...)
			break
		}
		operands = append(operands, rest[0])
		args = rest[1:]
	}
	return t.Flags.Parse(append([]string{"--"}, operands...))
}

// Args returns the operands.
func (t *Tool) Args() []string { return t.Flags.Args() }

// NoArgs is the error of a command that takes no operands and got one.
func (t *Tool) NoArgs() error {
	if t.Flags.NArg() > 0 {
		return Usagef("unexpected operand %q", t.Flags.Arg(0))
	}
	return nil
}

// IsSet reports whether the flag was given.
func (t *Tool) IsSet(name string) bool {
	set := false
	t.Flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// ThreadsFlag registers --threads.
func (t *Tool) ThreadsFlag() {
	t.Flags.IntVar(&t.threads, "threads", 0, "")
	t.Unrecorded("threads")
}

// Threads returns --threads, or the number of processors.
func (t *Tool) Threads() (int, error) {
	switch {
	case t.threads < 0:
		return 0, Usagef("--threads is 1 or more, not %d", t.threads)
	case t.threads == 0:
		return runtime.GOMAXPROCS(0), nil
	}
	return t.threads, nil
}

// Unrecorded keeps flags out of the history: where things are and how fast
// they go, not what is computed. Files that matter are recorded by [Tool.Record].
func (t *Tool) Unrecorded(names ...string) {
	for _, n := range names {
		t.plumb[n] = true
	}
}

// Record notes the digest ("sha256:...") of something read beside the input
// stream: a model, a data file. Call it before opening the output.
func (t *Tool) Record(name, digest string) {
	if t.entry.Inputs == nil {
		t.entry.Inputs = map[string]string{}
	}
	t.entry.Inputs[name] = digest
}

// Settings lists all flags but the [Tool.Unrecorded] ones with their values,
// whether given or not: what the result depends on beside the input.
func (t *Tool) Settings() []string { return t.list(t.Flags.VisitAll) }

func (t *Tool) list(visit func(func(*flag.Flag))) []string {
	out := []string{}
	visit(func(f *flag.Flag) {
		if !t.plumb[f.Name] {
			dashes := "--"
			if len(f.Name) == 1 {
				dashes = "-"
			}
			out = append(out, dashes+f.Name+"="+f.Value.String())
		}
	})
	return out
}

// Entry returns the history entry of this run.
func (t *Tool) Entry() stream.Entry { return t.entry }

// end drops the outputs where there is an error or a signal, says what went wrong
// and returns the exit code. Inputs close with the process: a goroutine may still
// wait on one.
func (t *Tool) end(err error, sig os.Signal) int {
	t.voice.stop()
	if err == nil && sig == nil {
		return 0
	}
	for _, o := range t.outputs {
		o.abort()
	}
	switch {
	case sig == syscall.SIGTERM:
		t.voice.say("error", "terminated")
		return 143
	case sig != nil:
		t.voice.say("error", "interrupted")
		return 130
	}
	t.voice.fail(err)
	return exitCode(err)
}

// complete completes the outputs: no file gets its name before all are whole.
func (t *Tool) complete() error {
	for _, o := range t.outputs {
		if err := o.finish(); err != nil {
			return err
		}
	}
	t.naming.Lock()
	defer t.naming.Unlock()
	for _, o := range t.outputs {
		if err := o.commit(); err != nil {
			return err
		}
	}
	return nil
}

// failure is an error with an exit code and perhaps a hint.
type failure struct {
	err  error
	code int
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }
func (f *failure) ExitCode() int { return f.code }
func (f *failure) Hint() string  { return f.hint }

// Usagef makes an error of misuse: exit code 2.
func Usagef(format string, a ...any) error {
	return &failure{err: fmt.Errorf(format, a...), code: 2}
}

// Inputf makes an error of the input's content: exit code 3.
func Inputf(format string, a ...any) error {
	return &failure{err: fmt.Errorf(format, a...), code: 3}
}

// WithHint adds a line that says what to do. The exit code stays.
func WithHint(err error, format string, a ...any) error {
	return &failure{err: err, code: exitCode(err), hint: fmt.Sprintf(format, a...)}
}

func exitCode(err error) int {
	var c interface{ ExitCode() int }
	if errors.As(err, &c) {
		return c.ExitCode()
	}
	return 1
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	for errors.As(err, &h) {
		if s := h.Hint(); s != "" {
			return s
		}
		err = errors.Unwrap(h.(error))
	}
	return ""
}

// oneLine makes one line of an error text that has several.
func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }
