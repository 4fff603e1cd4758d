package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"srar/lib/tool"
)

// Tokens of a reply: of one verdict, and around them.
const (
	tokensOfVerdict = 20
	tokensOfReply   = 8
)

// dryRun shows the first request and says what all of them may cost. Nothing is
// sent.
func (w *work) dryRun(t *tool.Tool) error {
	out, err := t.Text()
	if err != nil {
		return err
	}
	var asked, known, in, replied int64
	groups := 0
	for {
		_, questions, err := w.take()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		groups++
		for _, q := range questions {
			query := w.o.template.Query(q.task)
			if w.client.Known(query) {
				known++
				continue
			}
			if asked == 0 {
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, w.client.Body(query), "", "  "); err != nil {
					return err
				}
				fmt.Fprintf(out, "%s\n\n", &pretty)
			}
			asked++
			in += query.Tokens()
			replied += tokensOfReply + tokensOfVerdict*int64(len(q.task.Items))
		}
	}
	fmt.Fprintf(out, "groups: %d, dropped: %d\n", groups, w.dropped.Load())
	fmt.Fprintf(out, "requests: %d, if every first reply can be read; answers in the cache: %d\n", asked, known)
	_, err = fmt.Fprintf(out, "tokens: about %d in, %d out\n", in, replied)
	if cost := w.o.judge.Cost(in, replied); err == nil && cost != nil {
		_, err = fmt.Fprintf(out, "cost: about %.4g\n", *cost)
	}
	return err
}

// showCache says what the cache holds.
func (o *options) showCache(t *tool.Tool) error {
	cache, err := o.judge.OpenCache()
	if err != nil {
		return err
	}
	s, err := cache.Stats()
	if err != nil {
		return err
	}
	out, err := t.Text()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "entries: %d, damaged: %d\ntokens: %d in, %d out\nhits: %d\n", s.Entries, s.Damaged, s.PromptTokens, s.CompletionTokens, s.Hits)
	return err
}
