// Srar-prepare makes prompts of a data set: rows of kind prompt with the chat
// that asks for a solution and the parsed rubric.
//
// It reads Parquet files and JSON Lines, plain or packed with gzip or zstd, told
// apart by their content; several files are read as one. The columns it needs
// are looked for under these names, a dot leading into a struct:
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
// and the number of its row, counted from 0 over all files; an id that comes
// twice is an error. Columns taken over under another name go, all others are
// kept.
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
// Rows are chosen in this order: --where, --shuffle, --limit, --repeat. So
// --shuffle with --limit draws a sample, and --repeat repeats that sample. A
// condition names a column of the data, source standing for the column of
// --source; a null counts as empty. Conditions NAME=VALUE on one column are
// alternatives, all others must hold together. The order of a shuffle depends on
// the seed and the ids alone, not on the order of the rows. Repetition 2 of
// prompt p is called p#2, and so on; one repetition ends before the next begins,
// and --shuffle shuffles each anew. --shuffle and --repeat hold all prompts in
// memory.
//
// Errors name the row, counted from 0, and the line of a rubric, counted from 1.
// With --skip-bad a bad row is set aside instead; the first few are named, all
// are counted. Damage to a file stays an error, and so do rows that are all bad.
//
// --list tells what files hold and which columns would be taken. --check tells
// how many items rubrics have, beside the figures of the paper, and what is
// suspicious: problems and items that come twice, the answer in an item that a
// judge sees, rubrics without an ANSWER or a SUGGEST item or with too many,
// ANSWER items that do not hold the ground truth, and items about the format or
// about somebody's solution. Findings do not change the exit code.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-prepare [flags] [FILE...] > prompts

Makes prompts of data sets in Parquet or JSON Lines (also .gz, .zst); without
FILE, or for -, of standard input.

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
rows, chosen in this order
  --where NAME=VALUE        those with VALUE in column NAME, or NAME!=VALUE; may be
                            repeated: values of one column are alternatives
  --shuffle SEED            in random order
  --limit N                 the first N
  --repeat N                N times, as prompts p, p#2, p#3, ...
  --skip-bad                set bad rows aside and count them
  --bad FILE                the rows set aside and why, as JSON Lines
reports instead of prompts
  --list                    what the files hold
  --check                   figures of the rubrics, and what is suspicious
` + tool.StreamUsage + `
examples
  srar-prepare train.parquet | srar-rollout --model M0 -n 8 | srar-judge
  srar-prepare --problem question --ground-truth answer test.jsonl -o test.arrow
  srar-prepare --where source=aime24 --where source=amc23 bench.jsonl.gz > bench.arrow
  srar-prepare --shuffle 1 --limit 512 --repeat 3 gsm8k_train.jsonl > epochs.arrow
`

func main() {
	tool.Main(tool.Command{Name: "srar-prepare", Usage: usage, Streams: tool.InOut, Setup: setup})
}
