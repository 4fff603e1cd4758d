#!/usr/bin/env bash
# Two evaluations side by side:  compare.sh BEFORE AFTER
# Every number is a row of scores.arrow as srar-eval wrote it.

source "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
scores() { srar-cat --to tsv --columns metric,value,low,high "$1/scores.arrow" | sort; }

join -t $'\t' <(scores "$1") <(scores "$2") | awk -F '\t' '
	function cell(v, lo, hi) { return lo == "" ? sprintf("%.3f", v) : sprintf("%.3f [%.3f, %.3f]", v, lo, hi) }
	BEGIN { printf "%-22s %-22s %-22s %s\n", "", "before", "after", "change" }
	{ at[$1] = sprintf("%-22s %-22s %+.3f", cell($2, $3, $4), cell($5, $6, $7), $5 - $2) }
	END {
		n = split("accuracy frr step_accuracy mtr wrong_steps_in_right right_steps_in_wrong", name, " ")
		for (i = 1; i <= n; i++) if (name[i] in at) printf "%-22s %s\n", name[i], at[name[i]]
	}'
