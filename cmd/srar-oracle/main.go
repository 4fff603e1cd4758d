// Srar-oracle is a judge that works by rule: an OpenAI-compatible server that
// answers the questions of srar-judge and srar-eval about solutions of the
// embedded arithmetic task.
//
// It gets the very prompts that any judge gets, reads the quotations in them
// back, and evaluates what the steps state: for a rubric, from the texts of the
// items and the steps alone; for a step, from the texts of the problem and the
// step. See the package srar/lib/arith for the rules. Whatever else it is asked
// it refuses with status 400.
//
//	POST /v1/chat/completions   messages -> verdicts as JSON, or CORRECT or INCORRECT
//	GET  /v1/models             the one model
//	GET  /health                200
//
// Replies are not streamed, and equal requests get equal bytes: there is no
// clock in them, and token counts are a quarter of the bytes. The faults that
// flags ask for are drawn from --seed, the question, and how often it was asked
// before, not from the order in which questions come.
//
// The base URL goes to standard output, or to the file of --url-file, once the
// server listens. It ends on SIGINT and SIGTERM; with --until-eof also when its
// standard input ends, and so with the script that holds the other end, however
// that dies.
//
// Exit codes: 0 standard input ended, 1 failed, 2 misused, 130/143 interrupted.
package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"srar/lib/tool"
)

const usage = `usage: srar-oracle [flags]

Judges solutions of the embedded arithmetic task by rule, as an
OpenAI-compatible server.

server
  --listen ADDRESS          host and port, 0 for any free one (127.0.0.1:0)
  --url-file FILE           write the base URL to FILE instead of standard output
  --until-eof               end when standard input does
  --model NAME              name of the model (oracle)
  --api-key-env NAME        ask for the API key that the variable NAME holds
slow
  --delay D                 wait so long before each reply (0s)
  --jitter D                and up to so much longer (0s)
  --rate R                  replies a second; more requests get status 429 (0: any)
unreliable
  --seed N                  which faults (0)
  --fail-first N            refuse each question N times with status 503 (0)
  --flaky P                 fail with probability P: status 500 or 503, a body
                            that is cut, a connection that closes (0)
  --garbage P               reply with probability P what cannot be used (0)
  --talkative               think aloud, draft and explain around each reply
general
  --quiet                   errors and warnings only
  --log json                messages as JSON lines
  --help, --version

examples
  srar-oracle --listen 127.0.0.1:8080
  srar-oracle --until-eof --url-file url --delay 200ms --flaky 0.1 --talkative
`

func main() {
	tool.Main(tool.Command{Name: "srar-oracle", Usage: usage, Setup: setup})
}

func setup(t *tool.Tool) func(context.Context) error {
	var listen, urlFile, keyEnv string
	var untilEOF bool
	var s server
	t.Flags.StringVar(&listen, "listen", "127.0.0.1:0", "")
	t.Flags.StringVar(&urlFile, "url-file", "", "")
	t.Flags.BoolVar(&untilEOF, "until-eof", false, "")
	t.Flags.StringVar(&s.model, "model", "oracle", "")
	t.Flags.StringVar(&keyEnv, "api-key-env", "", "")
	t.Flags.DurationVar(&s.delay, "delay", 0, "")
	t.Flags.DurationVar(&s.jitter, "jitter", 0, "")
	t.Flags.Float64Var(&s.rate, "rate", 0, "")
	t.Flags.Uint64Var(&s.faults.seed, "seed", 0, "")
	t.Flags.Uint64Var(&s.faults.first, "fail-first", 0, "")
	t.Flags.Float64Var(&s.faults.flaky, "flaky", 0, "")
	t.Flags.Float64Var(&s.faults.garbage, "garbage", 0, "")
	t.Flags.BoolVar(&s.talkative, "talkative", false, "")
	return func(ctx context.Context) error {
		if err := t.NoArgs(); err != nil {
			return err
		}
		if keyEnv != "" {
			if s.key = os.Getenv(keyEnv); s.key == "" {
				return tool.Usagef("--api-key-env: $%s is not set", keyEnv)
			}
		}
		if err := s.check(); err != nil {
			return tool.Usagef("%v", err)
		}
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return tool.WithHint(err, "choose another --listen, such as 127.0.0.1:0")
		}
		if err := announce(t.Stdout, urlFile, l.Addr().(*net.TCPAddr)); err != nil {
			return errors.Join(err, l.Close())
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		if untilEOF {
			go func() {
				io.Copy(io.Discard, t.Stdin)
				cancel(io.EOF)
			}()
		}
		err = s.serve(ctx, l, t.Warnf)
		t.Logf("%s", s.summary())
		return err
	}
}
