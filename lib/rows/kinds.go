// Package rows declares the kinds of rows that flow between the commands: each
// column once, with its type, unit, shape, rule for nulls and owner. Commands
// read a record batch into plain structs and write plain structs as columns.
//
// A kind contains the columns of the kind before it (Prompt, Rollout, Verdict,
// Advantage); a stage adds its own and passes unknown columns through. From
// Rollout on one record batch holds one prompt group: all rollouts of a prompt.
package rows

// Item is one line of a rubric. Its id is the 1-based line number.
type Item struct {
	ID   int32  `col:"id"`
	Type string `col:"type"`
	Text string `col:"text"`
}

// Message is one turn of a chat.
type Message struct {
	Role    string `col:"role"`
	Content string `col:"content"`
}

// Step is the span of one step in a response.
type Step struct {
	Printed *int32 `col:"printed" doc:"the number in the heading; null without heading or beyond int32"`
	Start   int32  `col:"start" unit:"bytes"`
	End     int32  `col:"end" unit:"bytes"`
}

// ItemVerdict says whether a rollout satisfies one rubric item, and where.
type ItemVerdict struct {
	ID        int32 `col:"id"`
	Satisfied bool  `col:"satisfied" doc:"for a PITFALL: the mistake was made"`
	Step      int32 `col:"step" doc:"1..K a step, 0 the whole solution, -1 none"`
}

// Prompt holds the columns of srar-prepare.
type Prompt struct {
	PromptID    string    `col:"prompt_id" doc:"unique in the stream"`
	Problem     string    `col:"problem" doc:"the question as the judge sees it"`
	GroundTruth *string   `col:"ground_truth" doc:"reference answer"`
	DataSource  *string   `col:"data_source" doc:"name of the data set"`
	Rubric      *string   `col:"rubric" doc:"as read"`
	Items       []Item    `col:"items" doc:"parsed rubric, ANSWER items included"`
	Messages    []Message `col:"messages" doc:"the chat that asks for a solution"`
}

// Generation holds the columns that srar-rollout and srar-encode add.
type Generation struct {
	Rollout      int32     `col:"rollout" doc:"0-based index in its group"`
	PromptTokens []int32   `col:"prompt_tokens" doc:"what the policy was fed"`
	Tokens       []int32   `col:"tokens" doc:"the response, its end token included where it was sampled"`
	Offsets      []int32   `col:"offsets" unit:"bytes" shape:"tokens" doc:"start in response of the character that each token begins in; the length of response for tokens without text"`
	Response     string    `col:"response" doc:"decoded, special tokens left out, invalid UTF-8 as U+FFFD"`
	Logprobs     []float32 `col:"logprobs" unit:"nats" shape:"tokens" doc:"ln p under softmax(logits / temperature), before truncation and penalties; [] where not known"`
	Temperature  float32   `col:"temperature" doc:"of logprobs"`
	Finish       string    `col:"finish" doc:"stop or length"`
	Seed         uint64    `col:"seed" doc:"run seed"`
	Policy       string    `col:"policy" doc:"digest of the weights"`
	PolicyStep   int64     `col:"policy_step" doc:"optimiser steps behind the weights"`
}

// Judgement holds the columns that srar-judge adds.
type Judgement struct {
	Answer                *string       `col:"answer" doc:"extracted final answer"`
	AnswerStatus          string        `col:"answer_status" doc:"equal, different, absent, undecided or unknown"`
	Correct               bool          `col:"correct" doc:"answer_status is equal"`
	WellFormed            bool          `col:"well_formed" doc:"a step heading and a closed box"`
	Steps                 []Step        `col:"steps" doc:"in order of appearance"`
	JudgeStatus           string        `col:"judge_status" doc:"ok, failed, too_long or skipped"`
	JudgeError            *string       `col:"judge_error" doc:"class: detail"`
	Verdicts              []ItemVerdict `col:"verdicts" null:"yes" doc:"null unless judge_status is ok"`
	JudgeReply            *string       `col:"judge_reply" doc:"raw text of the last reply"`
	JudgeModel            *string       `col:"judge_model" doc:"as the server names it"`
	JudgeTries            int32         `col:"judge_tries" doc:"requests sent to earn the reply"`
	JudgePromptTokens     *int64        `col:"judge_prompt_tokens" doc:"summed over the tries"`
	JudgeCompletionTokens *int64        `col:"judge_completion_tokens" doc:"summed over the tries"`
}

// Credit holds the columns that srar-reward adds.
type Credit struct {
	BaseReward     float64   `col:"base_reward" doc:"r_base"`
	BaseAdvantage  float64   `col:"base_advantage" doc:"A_i"`
	StepRewards    []float64 `col:"step_rewards" null:"yes" shape:"steps" doc:"d_k; null without verdicts"`
	StepAdvantages []float64 `col:"step_advantages" null:"yes" shape:"steps" doc:"what the step adds to its tokens; null without verdicts"`
	TokenSteps     []int32   `col:"token_steps" shape:"tokens" doc:"step of each token, 0 = none"`
	Advantages     []float32 `col:"advantages" shape:"tokens" doc:"A of each token"`
}

// Rollout is a row of kind rollout.
type Rollout struct {
	Prompt
	Generation
}

// Verdict is a row of kind verdict.
type Verdict struct {
	Prompt
	Generation
	Judgement
}

// Advantage is a row of kind advantage.
type Advantage struct {
	Prompt
	Generation
	Judgement
	Credit
}

// Metric is a row of kind metric: one optimiser step.
type Metric struct {
	Step            int64   `col:"step" doc:"1 for the first step in the life of the checkpoint"`
	Loss            float64 `col:"loss"`
	GradNorm        float64 `col:"grad_norm" doc:"before clipping"`
	LR              float64 `col:"lr"`
	Entropy         float64 `col:"entropy" unit:"nats" doc:"mean over tokens"`
	RatioMax        float64 `col:"ratio_max"`
	ClipFraction    float64 `col:"clip_fraction"`
	KL              float64 `col:"kl" unit:"nats"`
	LogprobDiffMean float64 `col:"logprob_diff_mean" unit:"nats" doc:"to the stream's logprobs"`
	LogprobDiffMax  float64 `col:"logprob_diff_max" unit:"nats"`
	Tokens          int64   `col:"tokens"`
	Rollouts        int64   `col:"rollouts"`
	Excluded        int64   `col:"excluded" doc:"rows left out of the step"`
}

// Score is a row of kind score, in long form.
type Score struct {
	Metric     string   `col:"metric"`
	DataSource *string  `col:"data_source" doc:"null: all sources"`
	Value      float64  `col:"value"`
	Low        *float64 `col:"low" doc:"lower bound of the 95 % interval"`
	High       *float64 `col:"high" doc:"upper bound"`
	N          int64    `col:"n"`
}

// StepMarks is the column that srar-eval --marks adds to verdict rows.
type StepMarks struct {
	StepCorrect []*bool `col:"step_correct" null:"yes" shape:"steps" doc:"marks of a step judge, null = not marked"`
}

// The kinds. Owners name the command that adds the columns.
var (
	Prompts    = declare("prompt", nil, "srar-prepare", Prompt{})
	Rollouts   = declare("rollout", &Prompts, "srar-rollout", Generation{})
	Verdicts   = declare("verdict", &Rollouts, "srar-judge", Judgement{})
	Advantages = declare("advantage", &Verdicts, "srar-reward", Credit{})
	Metrics    = declare("metric", nil, "srar-update", Metric{})
	Scores     = declare("score", nil, "srar-eval", Score{})
)

// Kinds lists all kinds in the order data passes them.
var Kinds = []*Kind{&Prompts, &Rollouts, &Verdicts, &Advantages, &Metrics, &Scores}
