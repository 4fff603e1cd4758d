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
//	mark_agreement mark_kappa
//	                         with --against: steps with the same mark, Cohen's kappa
//	first_error_agreement first_error_accuracy
//	                         with --against: rollouts with the same first wrong step
//	                         or none in both files; of those with one in FILE
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
// --against compares with the columns verdicts and step_correct of FILE, rollout
// by rollout; without a column rollout every row is rollout 0 of its prompt. For
// step_correct a column step_labels will do, integers as people's labels of steps
// have them: 1 right, 0 neutral (which counts as right), -1 wrong, null not
// labelled. The first wrong step is known where no step before it lacks a mark. So
// labels.jsonl with the columns id, problem, steps and step_labels says how good a
// judge is:
//
//	srar-prepare labels.jsonl -o labels.arrow
//	srar-prepare labels.jsonl | srar-encode --model M0 | srar-eval --judge --against labels.arrow
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import (
	"srar/lib/judge"
	"srar/lib/tool"
)

const usage = `usage: srar-eval [flags] < rollouts > scores

Scores rollouts; on a terminal the scores are a table.

scores
  --k LIST                  the K of avg@K, pass@K, maj@K (1,8,32)
  --by data_source          scores for each data source
  --against FILE            agreement with the verdicts, marks or labels in FILE
  --markdown                print a table in Markdown instead of rows
marks of steps
  --judge                   ask a judge whether each step is right
  --marks FILE              write the rows with their marks to FILE
` + judge.FlagUsage + tool.StreamUsage + `
examples
  srar-prepare aime.jsonl | srar-rollout --model M1 -n 32 --temperature 0.7 --top-p 0.8 | srar-eval
  srar-eval -i verdicts.arrow --judge --marks marked.arrow --by data_source --markdown
`

func main() {
	tool.Main(tool.Command{Name: "srar-eval", Usage: usage, Streams: tool.InOut, Setup: setup})
}
