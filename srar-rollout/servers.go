package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"srar/lib/ckpt"
	"srar/lib/llm"
	"srar/lib/remote"
	"srar/lib/sampler"
	"srar/lib/tool"
)

// servers are the flags for sampling from servers.
type servers struct {
	remote remote.Flags
	cfg    remote.Config
	model  string
	check  bool
}

// A long response among many others takes a while, and so does the restart of a
// server: seven pauses of a quarter of a second, doubled each time, are half a
// minute.
var serverDefaults = map[string]string{"timeout": "30m0s", "tries": "8"}

func (s *servers) register(t *tool.Tool) {
	s.remote.EnvKey = sampler.EnvKey
	s.remote.Register(t.Flags)
	for name, value := range serverDefaults {
		f := t.Flags.Lookup(name)
		if err := f.Value.Set(value); err != nil {
			panic("srar-rollout: " + err.Error())
		}
		f.DefValue = value
	}
	t.Flags.StringVar(&s.model, "served-model", "", "")
	t.Flags.BoolVar(&s.check, "check-policy", false, "")
	t.Unrecorded(remote.FlagNames...)
	t.Unrecorded("check-policy")
}

// given says whether responses come from servers.
func (s *servers) given(t *tool.Tool) bool { return t.IsSet("url") }

// misused is the error of flags that mean nothing beside --url, or without it.
func (s *servers) misused(t *tool.Tool) error {
	with := "without"
	flags := append([]string{"served-model", "check-policy"}, remote.FlagNames...)
	if s.given(t) {
		with, flags = "with", []string{"max-rows", "memory"}
	}
	for _, f := range flags {
		if t.IsSet(f) {
			return tool.Usagef("--%s has no effect %s --url", f, with)
		}
	}
	return nil
}

// probes are texts that a language model can go on from in many ways: the first
// token of its answer is uncertain, which tells log-probabilities apart.
var probes = []string{
	"My favourite things are",
	"She opened the door and saw",
	"The number that I have in mind is",
}

// connect gets to know the servers and makes sure, as far as they let us, that
// they serve the policy.
func (o *options) connect(ctx context.Context, t *tool.Tool, p *policy) (*sampler.Sampler, error) {
	var err error
	if o.servers.cfg, err = o.servers.remote.Config(); err != nil {
		return nil, err
	}
	c := sampler.Config{
		Remote: o.servers.cfg, Model: o.servers.model,
		Vocab: p.Config.Vocab, End: p.Config.EOS,
		Sampling: o.sampling, Seed: o.seed,
	}
	for _, text := range probes {
		ids, err := p.Tokenizer.Encode(text)
		if err != nil {
			return nil, err
		}
		c.Probes = append(c.Probes, ids)
	}
	s, err := sampler.Connect(ctx, c)
	if err != nil {
		return nil, err
	}
	t.Logf("%s serves %q%s", s.Kind, s.Model, rootOf(s))
	for _, name := range []string{s.Model, s.Version} {
		if strings.HasPrefix(name, "sha256:") && name != p.digest {
			return nil, fmt.Errorf("the servers serve %s, --model is %s", name, p.digest)
		}
	}
	if need := o.maxPrompt + o.sampling.MaxTokens; s.Context > 0 && s.Context < need {
		return nil, tool.WithHint(
			fmt.Errorf("the servers' context has %d tokens, --max-prompt %d and --max-tokens %d need %d", s.Context, o.maxPrompt, o.sampling.MaxTokens, need),
			"lower one of them, or start the servers with a longer context")
	}
	if other, err := o.otherWeights(s.Root, p.digest); err != nil {
		return nil, err
	} else if other {
		t.Warnf("the weights in %s, which the server serves, are not those of --model; --check-policy tells whether they are close", s.Root)
	}
	if o.servers.check {
		if err := o.samePolicy(t, p, s.Proofs); err != nil {
			return nil, err
		}
	}
	for _, w := range s.Warnings {
		t.Warnf("%s", w)
	}
	if !s.Known {
		why, advice := s.Reason()
		if advice == "" {
			advice = "srar-logprob adds them"
		}
		t.Warnf("the rows get no log-probabilities, and srar-update computes its own: %s; %s", why, advice)
	}
	// The history names no host; it tells what kind of server sampled.
	t.Record("served by "+s.Kind, p.digest)
	return s, nil
}

func rootOf(s *sampler.Sampler) string {
	if s.Root == "" || s.Root == s.Model {
		return ""
	}
	return fmt.Sprintf(" from %q", s.Root)
}

// otherWeights says whether the directory that a server says it serves is a
// checkpoint on this machine whose weights are not those of the policy.
func (o *options) otherWeights(root, digest string) (bool, error) {
	served, err := os.Stat(root)
	if !filepath.IsAbs(root) || err != nil || !served.IsDir() {
		return false, nil
	}
	if own, err := os.Stat(o.model); err == nil && os.SameFile(served, own) {
		return false, nil
	}
	c, err := ckpt.Open(root)
	if err != nil {
		return false, nil // another format: an adapter, say
	}
	defer c.Close()
	d, err := c.Digest()
	return d != digest, err
}

// samePolicyWithin bounds the mean difference between log-probabilities of a
// server and of the policy's own engine, in nats. A server in bf16 differs by
// 0.01 to 0.02; 0.2 has been seen where it had lost its weights.
const samePolicyWithin = 0.1

// samePolicy scores greedy responses of the servers with the policy's weights.
func (o *options) samePolicy(t *tool.Tool, p *policy, proofs []llm.Row) error {
	if len(proofs) == 0 {
		return errors.New("--check-policy: the server gives no log-probabilities")
	}
	m, err := o.openModel(t, p)
	if err != nil {
		return err
	}
	defer m.Close()
	own, _, err := m.Score(proofs)
	if err != nil {
		return err
	}
	worst := 0.0
	for i, proof := range proofs {
		sum := 0.0
		for k, lp := range proof.Old {
			sum += math.Abs(float64(lp - own[i][k]))
		}
		mean := sum / float64(len(proof.Old))
		if !(mean <= samePolicyWithin) {
			return tool.WithHint(
				fmt.Errorf("the server's policy is not --model: its log-probabilities of %d tokens differ by %.3g in the mean", len(proof.Old), mean),
				"serve the weights of --model; coarse quantisation differs too")
		}
		worst = max(worst, mean)
	}
	t.Logf("log-probabilities of %d short responses differ by %.2g in the mean from those of --model, at most", len(proofs), worst)
	return nil
}

// group is a prompt with its responses, as they come.
type group struct {
	req     *llm.Request
	samples []llm.Sample
}

// groupMemory bounds the groups that wait for their turn to be written.
const groupMemory = 256 << 20

// serve samples from servers as [llm.Model.Generate] does from a model: each
// response is a request of its own, so that one that fails costs no other.
func (o *options) serve(s *sampler.Sampler) generate {
	return func(ctx context.Context, next func() (*llm.Request, error), emit func(*llm.Request, []llm.Sample) error) error {
		window := remote.Window{Workers: o.servers.cfg.Concurrency, Bytes: groupMemory}
		return remote.InOrder(ctx, window, func() (w remote.Work[*group], err error) {
			r, err := next()
			if err != nil {
				return w, err
			}
			g := &group{r, make([]llm.Sample, r.N)}
			w.Group = g
			for i := range r.N {
				w.Jobs = append(w.Jobs, func(ctx context.Context) (err error) {
					g.samples[i], err = s.Sample(ctx, r.Key, r.Prompt, i)
					return err
				})
			}
			const perToken = 8 // id and log-probability
			w.Bytes = perToken * (len(r.Prompt) + r.N*o.sampling.MaxTokens)
			return w, nil
		}, func(g *group) error { return emit(g.req, g.samples) })
	}
}

// parting says at the end what the servers did not do as asked.
func parting(t *tool.Tool, s *sampler.Sampler) {
	if n := s.Bare(); n > 0 {
		t.Warnf("%d responses have no log-probabilities: the servers gave none for some of their tokens", n)
	}
	if n := s.Strange(); n > 0 {
		t.Warnf("%d responses were ended by tokens that do not end those of --model: the servers have other end tokens", n)
	}
}
