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
	"strings"
	"sync"
)

// Cache keeps complete answers in a directory, one file each, named by a digest
// of the model and of everything the judge sees. Files appear whole under their
// name and carry a checksum, so several processes may share the directory, and
// a damaged file is found out. Neither addresses nor keys are stored.
type Cache struct {
	dir string

	mu   sync.Mutex
	busy map[string]chan struct{} // questions being asked by this process
}

// OpenCache opens the cache in dir and creates the directory if it is missing.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("judge: cache: %w", err)
	}
	return &Cache{dir: dir, busy: map[string]chan struct{}{}}, nil
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
const cacheVersion = "srar judge cache 1"

// cacheKey digests what decides about a reply.
func cacheKey(model string, q Query) string {
	h := sha256.New()
	for _, s := range []string{cacheVersion, model, "temperature 0", q.System, q.User} {
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
	data, err := os.ReadFile(c.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	head, body, ok := strings.Cut(string(data), "\n")
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
