package ckpt

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// update returns an update of c whose every value differs from the parent's,
// and the masters that its Weights and Optimizer give.
func update(t *testing.T, c *Checkpoint) (u Update, masters map[string][]float32) {
	u, masters = Update{Parent: c}, map[string][]float32{}
	u.Weights = func(name string) []float32 { return masters[name] }
	w := floats(t, c)
	for _, p := range c.Config.Parameters() {
		x := slices.Clone(w[p.Name])
		for i := range x {
			x[i] += 1 + float32(i)/1024
		}
		masters[p.Name] = x
		u.Optimizer = append(u.Optimizer,
			Array{Name: p.Name, DType: F32, Shape: p.Shape, Floats: func() []float32 { return masters[p.Name] }},
			Array{Name: p.Name + ".codes", DType: U8, Shape: []int{3}, Bytes: func() []byte { return []byte{1, 2, byte(len(p.Name))} }})
	}
	digest, err := c.Digest()
	require.NoError(t, err)
	u.Meta = Meta{Step: 7, Parent: digest, Made: "sha256:made", History: []json.RawMessage{json.RawMessage(`{"command":"test"}`)}}
	return u, masters
}

func TestWrite(t *testing.T) {
	kept := map[string]string{
		"NOTICE.md": "carried over\r\n\xff\x00", "tokenizer.json": "{}", "sub/deep/x.bin": "\x00", "adapter.safetensors": "not ours", ".hidden": "",
	}
	for _, tc := range []struct {
		name   string
		d      DType
		shards int
		copied bool // the parent stores its tied head twice
	}{
		{"one file", F32, 1, false}, {"shards and copied head", F32, 3, true}, {"bfloat16 and copied head", BF16, 1, true},
		{"bfloat16 shards", BF16, 3, false}, {"float16", F16, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, shards := tc.d, tc.shards
			dir := makeTiny(t, tiny, d, kept)
			if tc.copied {
				list := arrays(tiny, d, 1)
				list = append(list, array{headName, d, list[0].Shape, list[0].Data})
				require.NoError(t, os.Remove(filepath.Join(dir, weightsFile)))
				require.NoError(t, writeTensors(filepath.Join(dir, weightsFile), list))
			}
			if shards > 1 {
				for name, text := range kept {
					require.NoError(t, os.RemoveAll(filepath.Join(dir, name)), text)
				}
				require.NoError(t, os.RemoveAll(filepath.Join(dir, "sub")))
				dir = shard(t, dir, shards)
			}
			before := content(t, dir)
			c := open(t, dir)
			u, masters := update(t, c)
			u.Metrics = []byte("new")
			beside := t.TempDir()
			out := filepath.Join(beside, "a", "M1")
			require.NoError(t, Write(out, u))
			require.Equal(t, before, content(t, dir), "the parent is as it was")
			require.Equal(t, []string{"M1"}, names(t, filepath.Dir(out)))

			after := content(t, out)
			for name := range before {
				if filepath.Ext(name) != ".safetensors" || name == "adapter.safetensors" {
					require.Equal(t, before[name], after[name], name)
				}
				require.Contains(t, after, name)
			}
			require.Subset(t, append(slices.Collect(maps.Keys(before)), metaFile, optimizerFile, MetricsFile), slices.Collect(maps.Keys(after)))
			require.Equal(t, "new", after[MetricsFile])

			e := open(t, out)
			require.Equal(t, c.Names(), e.Names())
			require.Equal(t, u.Meta.Step, e.Step())
			require.Equal(t, u.Meta.Made, e.Meta().Made)
			opt, err := e.Optimizer()
			require.NoError(t, err)
			defer opt.Close()
			got := floats(t, e)
			for _, p := range tiny.Parameters() {
				was, err := c.Tensor(p.Name)
				require.NoError(t, err)
				is, err := e.Tensor(p.Name)
				require.NoError(t, err)
				require.Equal(t, was.DType, is.DType)
				for i, x := range masters[p.Name] {
					require.Equal(t, rounded(t, x, d), got[p.Name][i])
				}
				stored(t, opt, p.Name, masters[p.Name])
				codes, err := opt.Tensor(p.Name + ".codes")
				require.NoError(t, err)
				b, err := codes.Bytes()
				require.NoError(t, err)
				require.Equal(t, []byte{1, 2, byte(len(p.Name))}, b)
			}
			require.Len(t, opt.names, 2*len(tiny.Parameters()))
			if tc.copied {
				require.Equal(t, got[embedName], got[headName], "the copy of the tied head follows")
			}

			again := filepath.Join(t.TempDir(), "M1")
			require.NoError(t, Write(again, u))
			require.Equal(t, after, content(t, again), "writing is deterministic")
		})
	}
}

func names(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var n []string
	for _, e := range entries {
		n = append(n, e.Name())
	}
	return n
}

func rounded(t *testing.T, x float32, d DType) float32 {
	raw, err := encode(nil, []float32{x}, d)
	require.NoError(t, err)
	y := make([]float32, 1)
	decode(y, raw, d)
	return y[0]
}

func stored(t *testing.T, f *File, name string, want []float32) {
	x, err := f.Tensor(name)
	require.NoError(t, err)
	require.Equal(t, F32, x.DType)
	got, err := x.Float32()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// TestWriteFresh writes the parent's weights without what tells of its training.
func TestWriteFresh(t *testing.T) {
	u, _ := update(t, open(t, makeTiny(t, tiny, BF16, nil)))
	u.Metrics = []byte("of the parent")
	one := filepath.Join(t.TempDir(), "M1")
	require.NoError(t, Write(one, u))
	parent := open(t, one)
	out := filepath.Join(t.TempDir(), "M2")
	require.NoError(t, Write(out, Update{Parent: parent}))
	was, is := content(t, one), content(t, out)
	require.Equal(t, was[weightsFile], is[weightsFile])
	require.Contains(t, was, MetricsFile)
	require.NotContains(t, is, MetricsFile)
	require.NotContains(t, is, optimizerFile)
	require.Zero(t, open(t, out).Step())
}

// TestWriteFails: an update that cannot be written leaves nothing behind.
func TestWriteFails(t *testing.T) {
	dir := makeTiny(t, tiny, F16, nil)
	c := open(t, dir)
	nan := float32(0)
	nan /= nan
	const norm = "model.norm.weight"
	for _, tc := range []struct {
		want   string
		change func(u *Update, w map[string][]float32)
	}{
		{`tensor "model.norm.weight": 0 new values for 6`, func(_ *Update, w map[string][]float32) { delete(w, norm) }},
		{`tensor "model.norm.weight": 5 new values for 6`, func(_ *Update, w map[string][]float32) { w[norm] = w[norm][:5] }},
		{`tensor "model.norm.weight": from element 0: element 3: NaN is not finite`, func(_ *Update, w map[string][]float32) { w[norm][3] = nan }},
		{`65520 is not finite as F16`, func(_ *Update, w map[string][]float32) { w[norm][0] = 65520 }},
		{`tensor "x": 1 values for shape [2]`, func(u *Update, _ map[string][]float32) {
			u.Optimizer = []Array{{Name: "x", Shape: []int{2}, Floats: func() []float32 { return []float32{1} }}}
		}},
		{`tensor "x": from element 0: element 0: NaN`, func(u *Update, _ map[string][]float32) {
			u.Optimizer = []Array{{Name: "x", Shape: []int{1}, Floats: func() []float32 { return []float32{nan} }}}
		}},
		{`tensor "x": 3 bytes of U8 for shape [2]`, func(u *Update, _ map[string][]float32) {
			u.Optimizer = []Array{{Name: "x", DType: U8, Shape: []int{2}, Bytes: func() []byte { return []byte{1, 2, 3} }}}
		}},
	} {
		u, w := update(t, c)
		tc.change(&u, w)
		beside := t.TempDir()
		err := Write(filepath.Join(beside, "M1"), u)
		require.ErrorContains(t, err, tc.want)
		require.Empty(t, names(t, beside))
	}

	u, _ := update(t, c)
	out := filepath.Join(t.TempDir(), "M1")
	require.NoError(t, Write(out, u))
	before := content(t, out)
	require.ErrorIs(t, Write(out, u), fs.ErrExist)
	require.Equal(t, before, content(t, out))
	require.ErrorContains(t, Write(filepath.Join(dir, "M1"), u), "inside the checkpoint")
	require.ErrorContains(t, Write(dir, u), "inside the checkpoint")
}

// TestSweep: what a killed writer left goes away, what a living one holds stays.
func TestSweep(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no advisory locks: leftovers stay, which hold says
	}
	beside := t.TempDir()
	for _, name := range []string{".M1.tmp-dead", ".M1.tmp-alive", ".M2.tmp-other"} {
		require.NoError(t, os.MkdirAll(filepath.Join(beside, name, "sub"), 0o777))
	}
	release, err := hold(filepath.Join(beside, ".M1.tmp-alive"))
	require.NoError(t, err)
	defer release()
	u, _ := update(t, open(t, makeTiny(t, tiny, F32, nil)))
	require.NoError(t, Write(filepath.Join(beside, "M1"), u))
	require.Equal(t, []string{".M1.tmp-alive", ".M2.tmp-other", "M1"}, names(t, beside))
}

// racing is a disk on which another writer comes between the making of the first
// directory and what is done next.
type racing struct {
	osFiles
	other func(dir string)
}

func (r *racing) Mkdir(path string) error {
	err := r.osFiles.Mkdir(path)
	if r.other != nil {
		r.other(path)
	}
	r.other = nil
	return err
}

// TestSweepRace: a writer whose directory is swept, or about to be, before it holds
// it makes another one; a probe does not mind.
func TestSweepRace(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // nobody sweeps
	}
	defer func() { disk = osFiles{} }()
	u, _ := update(t, open(t, makeTiny(t, tiny, F32, nil)))
	for when, other := range map[string]func(dir string){
		"swept": func(dir string) { sweep(filepath.Dir(dir), ".M1.tmp-") },
		"about to be": func(dir string) {
			release, err := hold(dir)
			require.NoError(t, err)
			t.Cleanup(release)
		},
	} {
		beside := t.TempDir()
		var first string
		disk = &racing{other: func(dir string) { first = filepath.Base(dir); other(dir) }}
		require.NoError(t, Write(filepath.Join(beside, "M1"), u), when)
		want := map[string][]string{"swept": {"M1"}, "about to be": {first, "M1"}}[when]
		require.Equal(t, want, names(t, beside))
	}

	dir, stop, stopped := t.TempDir(), make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				sweep(dir, ".M1.tmp-")
			}
		}
	}()
	for range 300 {
		require.NoError(t, Probe(filepath.Join(dir, "M1")))
	}
	close(stop)
	<-stopped
}

// TestLinks: files behind links are copied, loops and devices are errors.
func TestLinks(t *testing.T) {
	dir := makeTiny(t, tiny, F32, map[string]string{"real.txt": "text"})
	require.NoError(t, os.Symlink("real.txt", filepath.Join(dir, "link.txt")))
	c := open(t, dir)
	out := filepath.Join(t.TempDir(), "M1")
	require.NoError(t, Write(out, Update{Parent: c}))
	require.Equal(t, "text", content(t, out)["link.txt"])
	st, err := os.Lstat(filepath.Join(out, "link.txt"))
	require.NoError(t, err)
	require.True(t, st.Mode().IsRegular())

	require.NoError(t, os.Symlink(".", filepath.Join(dir, "loop")))
	require.ErrorContains(t, Write(filepath.Join(t.TempDir(), "M1"), Update{Parent: c}), "nested too deeply")
	require.NoError(t, os.Remove(filepath.Join(dir, "loop")))
	require.NoError(t, os.Symlink(os.DevNull, filepath.Join(dir, "null")))
	require.ErrorContains(t, Write(filepath.Join(t.TempDir(), "M1"), Update{Parent: c}), "neither file nor directory")

	require.NoError(t, os.Remove(filepath.Join(dir, weightsFile)))
	require.NoError(t, os.Symlink(os.DevNull, filepath.Join(dir, weightsFile)))
	_, err = Open(dir)
	require.ErrorContains(t, err, "model.safetensors is no file that can be mapped")
}

// TestCut: a file that is cut while it is mapped is an error wherever it is read.
func TestCut(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // files are read whole there
	}
	big := tiny
	big.Vocab = 4096 // more than a page
	dir := makeTiny(t, big, F32, nil)
	c := open(t, dir)
	u := Update{Parent: c}
	require.NoError(t, os.Truncate(filepath.Join(dir, weightsFile), 4096))
	x, err := c.Tensor(embedName)
	require.NoError(t, err)
	_, err = x.Float32()
	require.ErrorContains(t, err, "the file was cut")
	_, err = x.Bytes()
	require.ErrorContains(t, err, "the file was cut")
	_, err = c.Digest()
	require.ErrorContains(t, err, "the file was cut")
	beside := t.TempDir()
	require.ErrorContains(t, Write(filepath.Join(beside, "M1"), u), "the file was cut")
	require.Empty(t, names(t, beside))
}

// TestEveryPrefix: no prefix of a file opens, and none crashes.
func TestEveryPrefix(t *testing.T) {
	dir := makeTiny(t, tiny, F32, nil)
	path := filepath.Join(dir, weightsFile)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := 0; n < len(whole); n += 1 + n/64 {
		_, err := parse(whole[:n])
		require.Error(t, err, n)
	}
	_, err = parse(whole)
	require.NoError(t, err)
	_, err = parse(append(whole, 0))
	require.ErrorContains(t, err, "1 bytes after the last tensor")

	require.NoError(t, os.WriteFile(path, nil, 0o666))
	_, err = Open(dir)
	require.ErrorContains(t, err, "0 bytes are no safetensors file")
	for _, name := range []string{generationFile, metaFile, configFile} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("[", 100)), 0o666))
		_, err = Open(dir)
		require.ErrorContains(t, err, name)
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
}
