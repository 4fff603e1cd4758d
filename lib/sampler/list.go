package sampler

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// card is an entry of GET /v1/models.
type card struct {
	ID      string `json:"id"`
	OwnedBy string `json:"owned_by"`
	Root    string `json:"root"`
	Parent  string `json:"parent"` // of a LoRA adapter: the base model
	Context int    `json:"max_model_len"`
	Meta    struct {
		Vocab   int `json:"n_vocab"`
		Context int `json:"n_ctx"`
	} `json:"meta"` // of llama.cpp
}

// choose finds the model with this name in a list, or the only one.
func choose(body []byte, name string) (card, error) {
	var list struct {
		Data []card `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil || len(list.Data) == 0 {
		return card{}, errorf("check the address", "GET /v1/models lists no model")
	}
	at := slices.IndexFunc(list.Data, func(m card) bool { return name != "" && m.ID == name })
	var names []string
	for _, m := range list.Data {
		names = append(names, fmt.Sprintf("%q", m.ID))
	}
	all := strings.Join(names, ", ")
	switch {
	case at >= 0:
		return list.Data[at], nil
	case name != "":
		return card{}, errorf("--served-model names one of them", "the server has no model %q; it lists %s", name, all)
	case len(names) > 1:
		return card{}, errorf("--served-model names the one to sample from", "the server lists %d models: %s", len(names), all)
	}
	return list.Data[0], nil
}
