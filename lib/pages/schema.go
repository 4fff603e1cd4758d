package pages

import "github.com/parquet-go/parquet-go/format"

// Node is an element of the schema: a leaf, which has values, or a group of nodes.
type Node struct {
	format.SchemaElement
	Children      []*Node // of a group
	First, Leaves int     // number of its first leaf, counted over the file; of its leaves
}

// Leaf reports whether the node has values.
func (n *Node) Leaf() bool { return n.Type.Valid }

// Optional reports whether the node may be null.
func (n *Node) Optional() bool { return n.RepetitionType.V == format.Optional }

// Repeated reports whether the node may come any number of times.
func (n *Node) Repeated() bool { return n.RepetitionType.V == format.Repeated }

// leaf is what the values of a leaf are decoded by.
type leaf struct {
	kind format.Type
	size int // bytes of a value, where they are always the same
	levels
}

// levels are the largest levels of a leaf.
type levels struct{ repetition, definition int }

// sizes are the bytes of values of a kind, where they are always the same.
var sizes = map[format.Type]int{format.Int32: 4, format.Int64: 8, format.Int96: 12, format.Float: 4, format.Double: 8}

func newLeaf(kind format.Type, length int32, l levels) (leaf, error) {
	size := sizes[kind]
	if kind == format.FixedLenByteArray {
		size = int(length)
	}
	switch {
	case kind < format.Boolean || kind > format.FixedLenByteArray:
		return leaf{}, unsupported("physical type %v", kind)
	case size < 0:
		return leaf{}, corrupt("values of %d bytes", size)
	}
	return leaf{kind, size, l}, nil
}

// columns makes trees of the elements of a schema, which are in the order of the
// columns, depth first, behind one for the root.
func columns(elements []format.SchemaElement) ([]*Node, []leaf, error) {
	if len(elements) == 0 {
		return nil, nil, corrupt("the file has no schema")
	}
	t := treeBuilder{elements: elements[1:]}
	columns, err := t.children(elements[0].NumChildren.V, levels{}, 0)
	return columns, t.leaves, err
}

type treeBuilder struct {
	elements []format.SchemaElement
	leaves   []leaf
}

func (t *treeBuilder) children(n int32, at levels, depth int) (out []*Node, err error) {
	for range n {
		k, err := t.node(at, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// node takes the next element, and those below it. at are the levels of its
// parent.
func (t *treeBuilder) node(at levels, depth int) (*Node, error) {
	if len(t.elements) == 0 {
		return nil, corrupt("the schema ends early")
	}
	if depth > maxDepth || len(t.leaves) == maxLeaves {
		return nil, unsupported("columns nested or numerous beyond reason")
	}
	n := &Node{SchemaElement: t.elements[0], First: len(t.leaves)}
	t.elements = t.elements[1:]
	if n.Repeated() {
		at.repetition++
	}
	if n.Repeated() || n.Optional() {
		at.definition++
	}
	var err error
	if n.Leaf() {
		var l leaf
		l, err = newLeaf(n.Type.V, n.TypeLength.V, at)
		t.leaves = append(t.leaves, l)
	} else {
		n.Children, err = t.children(n.NumChildren.V, at, depth)
	}
	if err != nil {
		return nil, err
	}
	n.Leaves = len(t.leaves) - n.First
	return n, nil
}
