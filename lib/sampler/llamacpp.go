package sampler

import "srar/lib/llm"

// llamacpp speaks the /completion of llama.cpp's llama-server. Its samplers run
// in the order that they are named in.
type llamacpp struct{ model string }

type llamacppRequest struct {
	Model            string   `json:"model"`
	Prompt           []int32  `json:"prompt"`
	NPredict         int      `json:"n_predict"`
	Samplers         []string `json:"samplers"`
	Temperature      float32  `json:"temperature"`
	TopK             int      `json:"top_k"`
	TopP             float32  `json:"top_p"`
	MinP             float32  `json:"min_p"`
	RepeatPenalty    float32  `json:"repeat_penalty"`
	RepeatLastN      int      `json:"repeat_last_n"`
	PresencePenalty  float32  `json:"presence_penalty"`
	FrequencyPenalty float32  `json:"frequency_penalty"`
	Seed             int64    `json:"seed"`
	NProbs           int      `json:"n_probs"`
	ReturnTokens     bool     `json:"return_tokens"`
}

func (llamacpp) path() string { return "/completion" }

func (d llamacpp) body(q *query) any {
	s := neutral(q.Sampling)
	return llamacppRequest{
		Model: d.model, Prompt: q.prompt, NPredict: s.MaxTokens,
		Samplers:    []string{"penalties", "temperature", "top_k", "top_p", "min_p"},
		Temperature: f32(s.Temperature), TopK: s.TopK, TopP: f32(s.TopP), MinP: f32(s.MinP),
		RepeatPenalty: f32(s.Repetition), RepeatLastN: len(q.prompt) + s.MaxTokens,
		PresencePenalty: f32(s.Presence), FrequencyPenalty: f32(s.Frequency),
		Seed: q.seed, NProbs: 1, ReturnTokens: true,
	}
}

type llamacppAnswer struct {
	Tokens          []int32 `json:"tokens"`
	StopType        string  `json:"stop_type"`
	TokensEvaluated *int    `json:"tokens_evaluated"`
	Probabilities   []struct {
		ID      int32    `json:"id"`
		Logprob *float64 `json:"logprob"`
	} `json:"completion_probabilities"`
}

func (llamacpp) read(body []byte) (*reply, error) {
	var a llamacppAnswer
	if err := decode(body, &a); err != nil {
		return nil, err
	}
	switch {
	case a.StopType != "eos" && a.StopType != "limit":
		return nil, unfinished(a.StopType)
	case len(a.Tokens) == 0:
		return nil, errorf("llama.cpp's llama-server gives them from 2025 on; update it", "the server gives text, but no token ids (return_tokens)")
	}
	r := &reply{tokens: a.Tokens, stopped: a.StopType == "eos", read: -1}
	if a.TokensEvaluated != nil {
		r.read = *a.TokensEvaluated
	}
	// A token that leaves a character unfinished has no entry.
	list := make([]*float64, 0, len(a.Tokens))
	for i, p := range a.Probabilities {
		if i == len(a.Tokens) || p.ID != a.Tokens[i] {
			break
		}
		list = append(list, p.Logprob)
	}
	r.logprobs = logprobs(list, len(a.Tokens))
	return r, nil
}

func (llamacpp) fit(s *llm.Sampling) (warnings []string, err error) {
	if s.Presence != 0 || s.Frequency != 0 {
		return nil, errorf("leave them out", "llama.cpp counts the tokens of the prompt too for --presence-penalty and --frequency-penalty")
	}
	return nil, nil
}

func (llamacpp) penalised() bool { return false }
