// Srar-judge checks the answers of rollouts by rule and asks a judge which rubric
// items each solution satisfies, and in which step.
//
// It reads Rollout rows, one record batch per prompt group, and adds to each
// row: answer, answer_status and correct, the last boxed answer compared with
// the ground truth; well_formed, a step heading and a closed box; steps, the
// spans of the steps in order of appearance; and what the judge said:
// judge_status, judge_error, verdicts, judge_reply, judge_model, judge_tries and
// token counts. Rows of a later kind are taken too and judged anew.
//
// The order of work is: check the answer, drop groups (--filter, --keep), and
// only then ask. Many questions are in flight at once; groups leave in the order
// they came, each as soon as it is complete, and the producer upstream waits
// when the judge is slow. With --keep P the input is closed after P groups, so
// that the producer stops.
//
// The judge is any server of the OpenAI chat completions API, or several between
// commas that serve the same model: one that breaks rests meanwhile. The judge
// sees the problem, the rubric without ANSWER items, and the solution with its
// steps numbered 1 to K, quoted so that nothing in it can pass for anything else.
// It never sees the reference answer. Its reply counts only if it holds exactly
// one complete set of verdicts. Else it is asked again with the reason, as are
// requests that failed for a cause that may pass (408, 429, 5xx, timeouts,
// network, answers that are none); Retry-After is waited for. Fewer requests are
// in flight while the server is overloaded.
//
// Structured output is asked for, with the items and steps of the very rollout; a
// server that refuses it (or a temperature of 0, or max_tokens) is asked without
// from then on. With reasoning models give --max-tokens room for the reasoning;
// what stands in <think> or beside the reply does not count.
//
// judge_status says what came of it:
//
//	ok        every item has a verdict
//	failed    judge_error says why: empty, no json, schema, ambiguous, length,
//	          timeout, network, response, http NNN
//	too_long  the question does not fit the judge's context; it is never cut
//	skipped   not asked: no rubric items, or --no-judge
//
// A failure is never read as "nothing satisfied". The command fails, with status 1
// and no end marker, as soon as more than --max-failure-rate of the questions are
// certain to fail or the judge is dead, and at once where the judge refuses the
// key (401), the address or model (403 or 404, before it has answered anything) or
// TLS.
//
// With --cache what was paid for is kept in any case, one file an answer, and a
// second run gives the same bytes without sending anything. Processes may share
// the directory: --shard I/N divides the work, and a run without it puts the
// whole together. --budget stops the command before it has used more tokens than
// that: groups that are judged by then are written, and the output is complete as
// with --keep; with --retry-failed the other rows stay as they were. Tokens count
// as the judge states them.
//
// --prompt FILE replaces our wording, which the history calls verdicts-2. The file
// holds the system message, a line of three dashes, and the user message, in which
// {problem}, {criteria} and {solution} stand once each and are replaced by
// quotations; {ids} and {steps} are the ids of the items and the number of steps.
// The reply must have the form that is read here:
//
//	{"verdicts": [{"id": 1, "satisfied": true, "step": 2}, ...]}
//
// The key comes from $JUDGE_API_KEY alone, goes to every server of --url, and
// appears in no row, file or message. Neither do addresses in rows: the history of
// the output holds what decides about them. Proxies are those of $HTTPS_PROXY,
// $HTTP_PROXY and $NO_PROXY.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import (
	"srar/lib/judge"
	"srar/lib/tool"
)

const usage = `usage: srar-judge [flags] < rollouts > verdicts

Checks answers by rule and asks a judge for verdicts on rubric items.

judge
` + judge.FlagUsage + `  --no-schema               do not ask for structured output
  --prompt FILE             ask in the words of FILE
  --no-judge                only check answers; no row is judged
  --retry-failed            read verdicts and ask again for the failed rows only
  --budget TOKENS           stop cleanly once so many tokens are used
  --dry-run                 show the first request and what to expect; send nothing
  --cache-stats             say what the cache holds; read and send nothing
groups
  --filter NAME             none, or acc: drop groups of equal correctness (none)
  --keep P                  stop after P groups that were not dropped
  --shard I/N               take only every N-th group, from the I-th on
` + tool.StreamUsage + `
examples
  srar-rollout --model M0 < p.arrow | srar-judge --filter acc --keep 128 --cache c | srar-reward
  srar-judge --retry-failed -i verdicts.arrow -o mended.arrow
`

func main() {
	tool.Main(tool.Command{Name: "srar-judge", Usage: usage, Streams: tool.InOut, Setup: setup})
}
