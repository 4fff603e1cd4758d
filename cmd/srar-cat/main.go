// Srar-cat shows and converts rows of any kind.
//
// It reads Arrow streams and files, JSON Lines and Parquet, told apart by
// their content, and writes JSON Lines, Arrow, Parquet, tab-separated values,
// a table for people, or the schema with its history. Several files are read
// as one stream.
//
// JSON and Parquet carry no schema of ours: --kind says which kind of rows they
// are, so that its columns get their types; from rollout on, consecutive rows of
// one prompt become one record batch again. Unknown columns stay.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-cat [flags] [FILE...]

Shows and converts rows.

  --to FORMAT               json, arrow, parquet, tsv, table or schema
                            (table on a terminal, else json)
  --kind KIND               of JSON and Parquet input: prompt, rollout, verdict,
                            advantage, metric or score
  --columns A,B             these columns only, in this order
  --head N                  the first N rows only
` + tool.StreamUsage + `
examples
  srar-cat verdicts.arrow | jq 'select(.judge_status == "failed") | .judge_error'
  srar-cat --to arrow --kind prompt prompts.jsonl | srar-rollout --model M0
`

func main() {
	tool.Main(tool.Command{Name: "srar-cat", Usage: usage, Streams: tool.InOut, Setup: setup})
}
