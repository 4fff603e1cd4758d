package token

import "math/bits"

// pairTable maps two neighbours to the rank of their merge and the token that
// they become: a hash table with open addressing, which is several times as
// fast as a map.
type pairTable struct {
	slots []pairSlot // a power of two
	used  int
	shift int
}

type pairSlot struct {
	key      uint64 // noPair in an empty slot
	rank, id int32
}

// noPair is no key, since ids are small.
const noPair = 1<<64 - 1

// noRank is the rank of neighbours that do not merge.
const noRank = 1<<31 - 1

func newPairTable(n int) pairTable {
	size := bits.Len(uint(n + n/2 + 1))
	p := pairTable{slots: make([]pairSlot, 1<<size), shift: 64 - size}
	for i := range p.slots {
		p.slots[i].key = noPair
	}
	return p
}

func (p *pairTable) slot(key uint64) *pairSlot {
	mask := uint64(len(p.slots) - 1)
	for i := key * 0x9e3779b97f4a7c15 >> p.shift; ; i = (i + 1) & mask {
		if s := &p.slots[i]; s.key == key || s.key == noPair {
			return s
		}
	}
}

// put stores a merge; of two for the same neighbours the later one counts.
func (p *pairTable) put(left, right, rank, id int32) {
	key := uint64(left)<<32 | uint64(right)
	s := p.slot(key)
	if s.key == noPair {
		if p.used++; p.used > len(p.slots)*3/4 {
			p.grow()
			s = p.slot(key)
		}
	}
	*s = pairSlot{key, rank, id}
}

func (p *pairTable) grow() {
	old := p.slots
	used := p.used
	*p = newPairTable(len(old))
	p.used = used
	for _, s := range old {
		if s.key != noPair {
			*p.slot(s.key) = s
		}
	}
}

// get returns the rank and result of a merge, or noRank.
func (p *pairTable) get(left, right int32) (rank, id int32) {
	s := p.slot(uint64(left)<<32 | uint64(right))
	if s.key == noPair {
		return noRank, 0
	}
	return s.rank, s.id
}

// shortWord is the length up to which a word is merged by scanning for the
// best pair, which is quadratic but without overhead.
const shortWord = 64

// word appends the tokens of a word, which is not empty.
func (t *Tokenizer) word(ids []int32, w string) []int32 {
	if len(w) == 1 {
		if id := t.single[w[0]]; id >= 0 {
			ids = append(ids, id)
		}
		return ids
	}
	if id, ok := t.words[w]; ok && (t.ignoreMerges || t.merges(id, w)) {
		return append(ids, id)
	}
	return t.merge(ids, w)
}

// merges reports whether merging the bytes w of a token gives just it, and
// remembers the answer. Nearly every token is one that merging leads to, so
// most words need one look-up.
func (t *Tokenizer) merges(id int32, w string) bool {
	const no, yes = 1, 2
	state := t.whole[id].Load()
	if state == 0 {
		var room [shortWord]int32
		ids := t.merge(room[:0], w)
		state = no
		if len(ids) == 1 && ids[0] == id {
			state = yes
		}
		t.whole[id].Store(state)
	}
	return state == yes
}

// merge appends what the bytes of w become when the neighbours of lowest rank
// merge, the leftmost first, until none do. A byte without a token is dropped,
// as the reference does.
func (t *Tokenizer) merge(ids []int32, w string) []int32 {
	from := len(ids)
	for i := range len(w) {
		if id := t.single[w[i]]; id >= 0 {
			ids = append(ids, id)
		}
	}
	part := ids[from:]
	if len(part) > shortWord {
		return ids[:from+t.mergeLong(part)]
	}
	var ranks, next [shortWord]int32 // of part[i] and part[i+1]: rank and result
	for i := range len(part) - 1 {
		ranks[i], next[i] = t.pairs.get(part[i], part[i+1])
	}
	for n := len(part); n > 1; {
		best, at := int32(noRank), 0
		for i, r := range ranks[:n-1] {
			if r < best {
				best, at = r, i
			}
		}
		if best == noRank {
			break
		}
		part[at] = next[at]
		copy(part[at+1:], part[at+2:n])
		copy(ranks[at:n-1], ranks[at+1:n-1])
		copy(next[at:n-1], next[at+1:n-1])
		n--
		part = part[:n]
		if at > 0 {
			ranks[at-1], next[at-1] = t.pairs.get(part[at-1], part[at])
		}
		if at+1 < n {
			ranks[at], next[at] = t.pairs.get(part[at], part[at+1])
		}
	}
	return ids[:from+len(part)]
}

// mergeLong does the same in n log n: the parts are a linked list, and a heap
// holds the merges that were possible when they were put in. It returns the
// number of parts left.
func (t *Tokenizer) mergeLong(part []int32) int {
	n := int32(len(part))
	prev, next := make([]int32, n), make([]int32, n) // next is n at the end, -1 for a part that is gone
	var h minHeap
	push := func(i int32) {
		if rank, _ := t.pairs.get(part[i], part[next[i]]); rank != noRank {
			h.push(uint64(rank)<<32 | uint64(i))
		}
	}
	for i := range n {
		prev[i], next[i] = i-1, i+1
	}
	for i := range n - 1 {
		push(i)
	}
	for len(h) > 0 {
		top := h.pop()
		i := int32(top & (1<<32 - 1))
		j := next[i]
		if j < 0 || j == n {
			continue
		}
		rank, id := t.pairs.get(part[i], part[j])
		if uint64(rank) != top>>32 {
			continue // one of the two has merged meanwhile
		}
		part[i] = id
		next[i], next[j] = next[j], -1
		if next[i] < n {
			prev[next[i]] = i
			push(i)
		}
		if prev[i] >= 0 {
			push(prev[i])
		}
	}
	left := 0
	for i := int32(0); i < n; i = next[i] {
		part[left] = part[i]
		left++
	}
	return left
}

// minHeap is a binary heap, the smallest number on top.
type minHeap []uint64

func (h *minHeap) push(x uint64) {
	a := append(*h, x)
	i := len(a) - 1
	for i > 0 && a[(i-1)/2] > x {
		a[i] = a[(i-1)/2]
		i = (i - 1) / 2
	}
	a[i] = x
	*h = a
}

func (h *minHeap) pop() uint64 {
	a := *h
	top, x := a[0], a[len(a)-1]
	a = a[:len(a)-1]
	i := 0
	for 2*i+1 < len(a) {
		c := 2*i + 1
		if c+1 < len(a) && a[c+1] < a[c] {
			c++
		}
		if a[c] >= x {
			break
		}
		a[i] = a[c]
		i = c
	}
	if len(a) > 0 {
		a[i] = x
	}
	*h = a
	return top
}
