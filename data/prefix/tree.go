package prefix

import "slices"

// tree is a radix tree of token sequences. It finds the longest prefix that a prompt shares with any of them.
type tree struct{ root node }

type node struct {
	edge     []int32   // tokens between the parent node and this one
	seq      *sequence // one of the sequences through this node
	children map[int32]*node
}

// find returns the length of the longest common prefix and a sequence that has it. Of several it prefers the last one that began a
// session.
func (t *tree) find(tokens []int32) (int, *sequence) {
	n, length := &t.root, 0
	for {
		c, ok := n.children[at(tokens, length)]
		if length >= len(tokens) || !ok {
			return length, n.seq
		}
		k := LCP(c.edge, tokens[length:])
		length += k
		if k < len(c.edge) {
			return length, c.seq
		}
		n = c
	}
}

// at returns the token at i, or -1 behind the end.
func at(tokens []int32, i int) int32 {
	if i >= len(tokens) {
		return -1
	}
	return tokens[i]
}

// insert adds a sequence and its tokens. The nodes on its path point to the last sequence that began a session.
func (t *tree) insert(s *sequence, tokens []int32) {
	n, rest := &t.root, tokens
	point := func(n *node) {
		if n.seq == nil || s.first {
			n.seq = s
		}
	}
	point(n)
	for len(rest) > 0 {
		if n.children == nil {
			n.children = map[int32]*node{}
		}
		c, ok := n.children[rest[0]]
		if !ok {
			n.children[rest[0]] = &node{edge: slices.Clone(rest), seq: s}
			return
		}
		k := LCP(c.edge, rest)
		if k < len(c.edge) {
			upper := &node{edge: c.edge[:k], seq: c.seq, children: map[int32]*node{c.edge[k]: c}}
			c.edge = c.edge[k:]
			n.children[rest[0]] = upper
			c = upper
		}
		point(c)
		n, rest = c, rest[k:]
	}
}
