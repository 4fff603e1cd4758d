package judge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Cache keeps complete answers in a directory, one file each, named by a digest
// of the model and of everything the judge sees. Files appear whole under their
// name and carry a checksum, so several processes may share the directory, and
// a damaged file is found out. Neither addresses nor keys are stored.
type Cache struct {
	dir   string
	files chan struct{} // places for those that read and write files

	mu   sync.Mutex
	busy map[string]chan struct{} // questions being asked by this process
}

// cacheFiles is how many files are open at a time: each costs a thread.
const cacheFiles = 16

// OpenCache opens the cache in dir and creates the directory if it is missing.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("judge: cache: %w", err)
	}
	return &Cache{dir: dir, files: make(chan struct{}, cacheFiles), busy: map[string]chan struct{}{}}, nil
}

// entry is a complete answer as it was earned.
type entry struct {
	Reply            string  `json:"reply"`
	Model            *string `json:"model"`
	Tries            int32   `json:"tries"`
	PromptTokens     *int64  `json:"prompt_tokens"`
	CompletionTokens *int64  `json:"completion_tokens"`
}

// cacheVersion changes with the form of the files, not with the prompts: those
// are part of the key.
const cacheVersion = "srar judge cache 2"

// key digests what decides about the reply to q: the model, how it is sampled,
// and everything that it is sent.
func (c *Client) key(q Query) string {
	h := sha256.New()
	form := q.Schema
	if c.cfg.NoSchema {
		form = nil
	}
	for _, s := range []string{cacheVersion, c.cfg.Model, "temperature 0", strconv.Itoa(c.cfg.MaxTokens), q.System, q.User, string(form)} {
		field(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Cache) path(key string) string { return filepath.Join(c.dir, key[:2], key+".json") }

// lock waits until no other goroutine of this process asks the question.
func (c *Cache) lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		c.mu.Lock()
		other, taken := c.busy[key]
		if !taken {
			mine := make(chan struct{})
			c.busy[key] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.busy, key)
				c.mu.Unlock()
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

var errDamaged = errors.New("damaged")

// get returns the entry of key: nil without error where there is none, and an
// error where the file is damaged or does not read.
func (c *Cache) get(key string) (*entry, error) {
	c.files <- struct{}{}
	data, err := os.ReadFile(c.path(key))
	<-c.files
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseEntry(key, string(data))
}

func parseEntry(key, data string) (*entry, error) {
	head, body, ok := strings.Cut(data, "\n")
	if !ok || head != checkLine(key, body) {
		return nil, errDamaged
	}
	e := &entry{}
	if err := json.Unmarshal([]byte(body), e); err != nil {
		return nil, errDamaged
	}
	return e, nil
}

// checkLine is the first line of a file. It covers the key too: a file under
// another name is damaged.
func checkLine(key, body string) string {
	sum := sha256.Sum256([]byte(key + "\n" + body))
	return cacheVersion + " sha256:" + hex.EncodeToString(sum[:])
}

// put writes the entry of key. The file appears whole or not at all; it is not
// forced to the disk, since the checksum tells what a crash of the machine spoils.
func (c *Cache) put(key string, e *entry) (err error) {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	c.files <- struct{}{}
	defer func() { <-c.files }()
	path := c.path(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(checkLine(key, string(body)) + "\n" + string(body))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// hitsFile has a line for each run that took answers from the cache: how many.
const hitsFile = "hits"

// noteHits adds the answers that a run took from the cache to the count that
// [Cache.Stats] tells. Lines of several processes do not mix.
func (c *Cache) noteHits(n int64) error {
	if n == 0 {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(c.dir, hitsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", n)
	return errors.Join(err, f.Close())
}

// CacheStats is what a cache holds.
type CacheStats struct {
	Entries          int64
	Damaged          int64 // files that are no sound entry; their questions are asked again
	PromptTokens     int64 // that the entries have cost
	CompletionTokens int64
	Hits             int64 // answers that runs took from it
}

// Stats reads the whole cache.
func (c *Cache) Stats() (s CacheStats, err error) {
	files, err := filepath.Glob(filepath.Join(c.dir, "??", "*.json"))
	if err != nil {
		return s, err
	}
	for _, file := range files {
		e, err := c.get(strings.TrimSuffix(filepath.Base(file), ".json"))
		if err != nil {
			s.Damaged++
		} else if e != nil { // not taken away meanwhile
			s.Entries++
			s.PromptTokens += orZero(e.PromptTokens)
			s.CompletionTokens += orZero(e.CompletionTokens)
		}
	}
	hits, err := os.ReadFile(filepath.Join(c.dir, hitsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	for _, line := range strings.Fields(string(hits)) {
		if n, err := strconv.ParseInt(line, 10, 64); err == nil && n > 0 {
			s.Hits += n
		}
	}
	return s, nil
}
