package sampler

import "srar/lib/llm"

// vllm speaks as vLLM's /v1/completions does. token_ids hold the token that
// stopped a response; the text does not. With ignore_eos only stop_token_ids
// stop, which makes the policy's end tokens those of the server.
type vllm struct{ model string }

type vllmRequest struct {
	Model             string  `json:"model"`
	Prompt            []int32 `json:"prompt"`
	MaxTokens         int     `json:"max_tokens"`
	Temperature       float32 `json:"temperature"`
	TopK              int     `json:"top_k"`
	TopP              float32 `json:"top_p"`
	MinP              float32 `json:"min_p"`
	RepetitionPenalty float32 `json:"repetition_penalty"`
	PresencePenalty   float32 `json:"presence_penalty"`
	FrequencyPenalty  float32 `json:"frequency_penalty"`
	Seed              int64   `json:"seed"`
	IgnoreEOS         bool    `json:"ignore_eos"`
	StopTokenIDs      []int32 `json:"stop_token_ids"`
	Logprobs          int     `json:"logprobs"`
	ReturnTokenIDs    bool    `json:"return_token_ids"`
}

func (vllm) path() string { return "/v1/completions" }

func (d vllm) body(q *query) any {
	s := neutral(q.Sampling)
	return vllmRequest{
		Model: d.model, Prompt: q.prompt, MaxTokens: s.MaxTokens,
		Temperature: f32(s.Temperature), TopK: topK(&s), TopP: f32(s.TopP), MinP: f32(s.MinP),
		RepetitionPenalty: f32(s.Repetition), PresencePenalty: f32(s.Presence), FrequencyPenalty: f32(s.Frequency),
		Seed: q.seed, IgnoreEOS: true, StopTokenIDs: q.end,
		Logprobs: 1, ReturnTokenIDs: true,
	}
}

type vllmAnswer struct {
	Choices []struct {
		FinishReason   string  `json:"finish_reason"`
		TokenIDs       []int32 `json:"token_ids"`
		PromptTokenIDs []int32 `json:"prompt_token_ids"`
		Logprobs       struct {
			TokenLogprobs []*float64 `json:"token_logprobs"`
		} `json:"logprobs"`
	} `json:"choices"`
	PromptTokenIDs []int32 `json:"prompt_token_ids"`
}

func (vllm) read(body []byte) (*reply, error) {
	var a vllmAnswer
	if err := decode(body, &a); err != nil {
		return nil, err
	}
	if len(a.Choices) != 1 {
		return nil, unfinished("no choice")
	}
	c := a.Choices[0]
	switch {
	case c.FinishReason != "stop" && c.FinishReason != "length":
		return nil, unfinished(c.FinishReason)
	case c.TokenIDs == nil:
		return nil, errNoIDs
	case len(c.TokenIDs) == 0:
		return nil, errNoTokens
	}
	prompt := c.PromptTokenIDs
	if prompt == nil {
		prompt = a.PromptTokenIDs
	}
	return &reply{
		tokens: c.TokenIDs, logprobs: logprobs(c.Logprobs.TokenLogprobs, len(c.TokenIDs)),
		stopped: c.FinishReason == "stop", prompt: prompt, read: -1,
	}, nil
}

// errNoIDs is the error of a server that answers with text alone.
var errNoIDs = &Error{
	"the server gives text, but no token ids (return_token_ids)",
	"vLLM from 0.10.2 on gives them, SGLang, and llama.cpp's llama-server; a proxy before them must pass them on",
}

// coldest is the lowest temperature above 0 that vLLM does not raise.
const coldest = 0.01

func (vllm) fit(s *llm.Sampling) (warnings []string, err error) {
	if !s.Greedy && s.Temperature < coldest {
		return nil, errorf("--greedy takes the best token always", "vLLM raises --temperature %v to %v", s.Temperature, coldest)
	}
	if s.MinP > 0 && s.TopP < 1 {
		warnings = append(warnings, "vLLM cuts by --min-p before --top-p, not after it")
	}
	return warnings, nil
}

func (vllm) penalised() bool { return false }
