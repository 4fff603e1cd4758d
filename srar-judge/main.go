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
// The judge is any server of the OpenAI chat completions API. It sees the
// problem, the rubric without ANSWER items, and the solution with its steps
// numbered 1 to K, quoted so that nothing in it can pass for anything else. It
// never sees the reference answer. Its reply counts only if it holds exactly one
// complete set of verdicts. Else it is asked again with the reason, as are
// requests that failed for a cause that may pass (408, 429, 5xx, timeouts,
// network, answers that are none); Retry-After is waited for.
//
// judge_status says what came of it:
//
//	ok        every item has a verdict
//	failed    judge_error says why: empty, no json, schema, ambiguous, length,
//	          timeout, network, response, http NNN
//	too_long  the question does not fit the judge's context; it is never cut
//	skipped   not asked: no rubric items, or --no-judge
//
// A failure is never read as "nothing satisfied". More failures than
// --max-failure-rate of the questions asked end the command with status 1 and
// without an end marker, as does a judge that refuses the key (401). With
// --cache what was paid for is kept in any case, and a second run gives the same
// bytes without sending anything.
//
// The key comes from $JUDGE_API_KEY alone and appears in no row, file or
// message. Neither do addresses: the history of the output holds what decides
// about the rows.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-judge [flags] < rollouts > verdicts

Checks answers by rule and asks a judge for verdicts on rubric items.

judge
  --url URL                 base address of the judge, with /v1 ($JUDGE_URL)
  --judge-model NAME        model to ask for ($JUDGE_MODEL); key: $JUDGE_API_KEY
  --no-judge                only check answers; no row is judged
  --retry-failed            read verdicts and ask again for the failed rows only
  --tries N                 most requests for one rollout (3)
  --max-failure-rate X      fail when more of the judgements fail (0.1)
  --cache DIR               keep complete answers and take them from there
  --concurrency N           requests in flight (64)
  --timeout D               for one request and its whole answer (120s)
groups
  --filter NAME             none, or acc: drop groups of equal correctness (none)
  --keep P                  stop after P groups that were not dropped
` + tool.StreamUsage + `
examples
  srar-rollout --model M0 < p.arrow | srar-judge --filter acc --keep 128 --cache c | srar-reward
  srar-judge --retry-failed -i verdicts.arrow -o mended.arrow
`

func main() {
	tool.Main(tool.Command{Name: "srar-judge", Usage: usage, Streams: tool.InOut, Setup: setup})
}
