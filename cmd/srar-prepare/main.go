// Srar-prepare makes prompts of a data set: rows of kind prompt with the chat
// that asks for a solution and the parsed rubric.
//
// It reads Parquet files and JSON Lines, told apart by their content; several
// files are read as one. The columns it needs are looked for under these names,
// a dot leading into a struct:
//
//	problem       problem, else prompt
//	ground truth  ground_truth, else reward_model.ground_truth
//	rubric        rubric
//	source        data_source
//	id            prompt_id, else id
//
// Only the problem must be there. Where it is a chat (a list of role and
// content) the problem is what the user says last. A ground truth may be text or
// a number, which is written out exactly. A prompt without id is called row-
// and its number, counted from 0 over all files; an id that comes twice is an
// error. Columns taken over under another name go, all others are kept.
//
// A rubric is lines <TYPE> text, TYPE one of SUGGEST, PITFALL, BONUS, ANSWER.
// Items are numbered by their lines. Nothing of a rubric is shown to the policy.
//
// The chat is one message of the user: the problem and, after a blank line, the
// instruction, which asks for steps under headings "### Step N:" and for the
// final answer in \boxed{}. --instruction FILE words it otherwise; a FILE with
// {problem} in it is the whole message, the problem put in there, and an empty
// one leaves the problem alone.
//
// Errors name the row, counted from 0, and the line of a rubric, counted from 1.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-prepare [flags] [FILE...] > prompts

Makes prompts of data sets in Parquet or JSON Lines; without FILE, or for -,
of standard input.

columns of the data
  --problem NAME            the problem: text, or a chat (problem, else prompt)
  --ground-truth NAME       the reference answer, text or number
                            (ground_truth, else reward_model.ground_truth)
  --rubric NAME             the rubric (rubric)
  --source NAME             the name of the data set (data_source)
  --id NAME                 the id of the prompt (prompt_id, else id, else row-000000)
prompt
  --instruction FILE        what is said after the problem; with {problem} in it,
                            the whole message; empty: the problem alone
` + tool.StreamUsage + `
examples
  srar-prepare train.parquet | srar-rollout --model M0 -n 8 | srar-judge
  srar-prepare --problem question --ground-truth answer test.jsonl -o test.arrow
`

func main() {
	tool.Main(tool.Command{Name: "srar-prepare", Usage: usage, Streams: tool.InOut, Setup: setup})
}
