// Srar-reward turns the judge's verdicts into rewards of steps and advantages
// of tokens.
//
// It reads Verdict rows, one record batch per prompt group, and adds to each
// row: base_reward and base_advantage, the outcome; step_rewards and
// step_advantages, one number a step and null where there is no verdict;
// token_steps and advantages, one number a token. Rows of a later kind are
// taken too and their columns computed anew.
//
// The outcome reward is (1-w) correct + w well_formed, normalised over the
// rollouts of the prompt. A satisfied item earns its type's budget divided by
// the number of such items in the rubric, at the step that the judge ties it
// to. Estimators:
//
//	srar         outcome, plus the step's reward normalised over the rollouts
//	             with an item at that step
//	rar          outcome and rubric as one scalar, the same for all tokens
//	grpo         the outcome alone
//	srar-merged  ablation: the scalar of rar on the tokens of credited steps
//	srar-raw     ablation: the step's reward as it is
//
// Rollouts without verdicts (judge_status failed, too_long, skipped) get the
// outcome advantage on every token and are left out of the statistics of steps;
// they are never read as "nothing satisfied".
//
// What was routed where is counted on standard error: verdicts for the whole
// solution or no step, responses without heading or with restarted numbers,
// steps of a single rollout or of equal rewards, rollouts left out.
//
// Method: Step-wise Rubrics as Rewards, arXiv 2605.17291. --preset recipe sets
// what its public implementation does.
//
// Exit codes: 0 done, 1 failed, 2 misused, 3 input ended early or not valid,
// 130/143 interrupted.
package main

import "srar/lib/tool"

const usage = `usage: srar-reward [flags] < verdicts > advantages

Turns verdicts into rewards of steps and advantages of tokens.

method
  --estimator NAME          srar, rar, grpo, srar-merged, srar-raw (srar)
  --preset NAME             paper or recipe (paper); a flag beside it wins:
                            recipe is --group-by satisfied --std sample
                            --whole-solution broadcast --spans proportional
  --group-by NAME           a step is compared over the rollouts that have an item
                            attributed to it, or satisfied there (attributed)
  --std NAME                deviation of the population or the sample (population)
  --eps X                   added to deviations; smaller ones of steps are zero (1e-6)
  --whole-solution NAME     drop or broadcast verdicts for the whole (drop)
  --spans NAME              exact or proportional tokens of steps (exact)
reward
  --format-weight W         share of the format in the outcome (0.1)
  --suggest R               budget of the SUGGEST items (0.8)
  --pitfall R               budget of the PITFALL items, taken off (-1)
  --bonus R                 budget of the BONUS items (1)
groups
  --filter NAME             none, or acc: drop groups of equal correctness (none)
` + tool.StreamUsage + `
examples
  srar-judge < rollouts.arrow | srar-reward --save a.arrow | srar-update --model M0 --out M1
  srar-reward -i verdicts.arrow --estimator rar -o rar.arrow
`

func main() {
	tool.Main(tool.Command{Name: "srar-reward", Usage: usage, Streams: tool.InOut, Setup: setup})
}
