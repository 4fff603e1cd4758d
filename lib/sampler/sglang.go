package sampler

import (
	"encoding/json"

	"srar/lib/llm"
)

// sglang speaks SGLang's own /generate. Tokens are read where their
// log-probabilities are, the end token among them.
type sglang struct{ lora string } // empty: the base model

type sglangRequest struct {
	InputIDs       []int32        `json:"input_ids"`
	SamplingParams sglangSampling `json:"sampling_params"`
	ReturnLogprob  bool           `json:"return_logprob"`
	LoraPath       string         `json:"lora_path,omitempty"`
}

type sglangSampling struct {
	MaxNewTokens      int     `json:"max_new_tokens"`
	Temperature       float32 `json:"temperature"`
	TopK              int     `json:"top_k"`
	TopP              float32 `json:"top_p"`
	MinP              float32 `json:"min_p"`
	RepetitionPenalty float32 `json:"repetition_penalty"`
	PresencePenalty   float32 `json:"presence_penalty"`
	FrequencyPenalty  float32 `json:"frequency_penalty"`
	SamplingSeed      int64   `json:"sampling_seed"`
	StopTokenIDs      []int32 `json:"stop_token_ids"`
}

func (sglang) path() string { return "/generate" }

func (d sglang) body(q *query) any {
	s := neutral(q.Sampling)
	return sglangRequest{
		InputIDs: q.prompt, ReturnLogprob: true, LoraPath: d.lora,
		SamplingParams: sglangSampling{
			MaxNewTokens: s.MaxTokens,
			Temperature:  f32(s.Temperature), TopK: topK(&s), TopP: f32(s.TopP), MinP: f32(s.MinP),
			RepetitionPenalty: f32(s.Repetition), PresencePenalty: f32(s.Presence), FrequencyPenalty: f32(s.Frequency),
			SamplingSeed: q.seed, StopTokenIDs: q.end,
		},
	}
}

type sglangAnswer struct {
	Meta struct {
		FinishReason struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"finish_reason"`
		PromptTokens        *int          `json:"prompt_tokens"`
		WeightVersion       string        `json:"weight_version"`
		OutputTokenLogprobs []sglangToken `json:"output_token_logprobs"`
	} `json:"meta_info"`
}

// sglangToken is written [log-probability, id, text or null].
type sglangToken struct {
	logprob *float64
	id      int32
}

func (t *sglangToken) UnmarshalJSON(b []byte) error {
	var ignored any
	parts := []any{&t.logprob, &t.id, &ignored}
	return json.Unmarshal(b, &parts)
}

func (sglang) read(body []byte) (*reply, error) {
	var a sglangAnswer
	if err := decode(body, &a); err != nil {
		return nil, err
	}
	m := a.Meta
	switch why := m.FinishReason; {
	case why.Type != "stop" && why.Type != "length":
		return nil, unfinished(why.Type + " " + why.Message)
	case m.OutputTokenLogprobs == nil:
		return nil, errorf("SGLang gives them; a proxy before it must pass them on", "the server gives no output_token_logprobs")
	case len(m.OutputTokenLogprobs) == 0:
		return nil, errNoTokens
	}
	r := &reply{stopped: m.FinishReason.Type == "stop", read: -1, version: m.WeightVersion}
	if m.PromptTokens != nil {
		r.read = *m.PromptTokens
	}
	list := make([]*float64, len(m.OutputTokenLogprobs))
	for i, t := range m.OutputTokenLogprobs {
		r.tokens = append(r.tokens, t.id)
		list[i] = t.logprob
	}
	r.logprobs = logprobs(list, len(list))
	return r, nil
}

func (sglang) fit(s *llm.Sampling) (warnings []string, err error) {
	if s.Repetition != 1 {
		warnings = append(warnings, "SGLang's --repetition-penalty counts tokens of the response only, not of the prompt")
	}
	if s.TopK > 0 && s.TopP < 1 {
		warnings = append(warnings, "SGLang measures --top-p before --top-k has cut")
	}
	return warnings, nil
}

func (sglang) penalised() bool { return true }
