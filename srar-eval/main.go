// Srar-eval scores rollouts: accuracy, step accuracy, loops, agreement of
// judges, each with a 95 % interval.
//
// It reads Rollout rows or rows of a later kind and writes Score rows, one a
// metric: on a pipe or into a file as rows, on a terminal as a table. Answers
// are checked by rule where the rows do not say whether they are correct.
//
//	accuracy                 mean over prompts of the share of right answers
//	avg@K pass@K maj@K       over prompts with at least K rollouts: that share;
//	                         chance that K of them hold a right answer; share of
//	                         right among the most frequent answers of the first K
//	step_accuracy            share of steps marked right
//	frr mtr                  share of rollouts whose answer and steps are all
//	                         right; share where only one of the two is
//	right_sound right_flawed wrong_sound wrong_flawed
//	                         rollouts by answer and steps
//	wrong_steps_in_right     share of wrong steps in solutions with right answer
//	right_steps_in_wrong     share of right steps in solutions with wrong answer
//	loop_rate                share of responses that go round in circles
//	loop_accuracy other_accuracy self_corrections
//	                         accuracy of those and of the others; phrases such as
//	                         "wait" a response
//	format_rate truncation_rate length
//	                         responses of the asked form, cut at the limit;
//	                         tokens a response
//	agreement kappa step_agreement
//	                         with --against: items with the same verdict in both
//	                         files, Cohen's kappa, items tied to the same step
//	mark_agreement first_error_agreement
//	                         with --against: steps with the same mark, rollouts
//	                         with the same first wrong step
//	rpb_suggest rpb_pitfall rpb_bonus
//	                         correlation of a right answer with the share of
//	                         satisfied items of the type
//
// A metric with nothing to count is left out. Intervals are clustered by prompt.
//
// Marks of steps are the column step_correct, or asked for with --judge: one
// request a step, which shows the problem, the reference answer and the steps up
// to it. Steps that are marked already are not asked again. A rollout counts as
// marked when all its steps are. --marks keeps the marks: the input's rows with
// the columns step_correct and step_replies. The judge's key is read from
// $JUDGE_API_KEY.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-eval [flags] < rollouts > scores

Scores rollouts; on a terminal the scores are a table.

scores
  --k LIST                  the K of avg@K, pass@K, maj@K (1,8,32)
  --by data_source          scores for each data source
  --against FILE            agreement with the verdicts and marks in FILE
  --markdown                print a table in Markdown instead of rows
marks of steps
  --judge                   ask a judge whether each step is right
  --marks FILE              write the rows with their marks to FILE
  --url URL                 base address of the judge ($JUDGE_URL)
  --judge-model NAME        model to ask for ($JUDGE_MODEL)
  --concurrency N           requests in flight (64)
  --tries N                 requests for one mark at most (3)
  --timeout D               of one request (120s)
  --cache DIR               keep replies in DIR, ask nothing twice
  --max-failure-rate R      fail when more than this share of steps got no mark (0.1)
` + tool.StreamUsage + `
examples
  srar-prepare aime.jsonl | srar-rollout --model M1 -n 32 --temperature 0.7 --top-p 0.8 | srar-eval
  srar-eval -i verdicts.arrow --judge --marks marked.arrow --by data_source --markdown
`

func main() {
	tool.Main(tool.Command{Name: "srar-eval", Usage: usage, Streams: tool.InOut, Setup: setup})
}
