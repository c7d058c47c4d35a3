// Package prefix models the automatic prefix caching of vLLM over token ids: chained block hashes, and a pool of blocks with LRU
// eviction. A History tells how much of each prompt could have come from the cache, and why the rest had to be computed.
//
// It must not know any server or clock. It sees token ids, and the texts of messages where it compares two prompts.
//
// The rules are those of vLLM V1 (vllm/v1/core/kv_cache_utils.py, block_pool.py, single_type_kv_cache_manager.py). The tests of this
// package compare them with answers of vLLM 0.32.
package prefix

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash identifies one full block and everything before it.
type Hash [16]byte

// Blocks returns the hashes of the full blocks of a sequence: floor(len(tokens)/size) of them. A hash covers the token ids of its
// block and, through the chain, all tokens before. The salt is part of the first hash, so sequences with different salts share
// nothing.
func Blocks(tokens []int32, size int, salt string) []Hash {
	return extend(nil, tokens, size, salt)
}

// extend appends the hashes of those full blocks of tokens that hashes lacks.
func extend(hashes []Hash, tokens []int32, size int, salt string) []Hash {
	buf := make([]byte, 0, len(Hash{})+4*size+len(salt))
	for i := len(hashes); (i+1)*size <= len(tokens); i++ {
		buf = buf[:0]
		if i == 0 {
			buf = append(buf, salt...)
		} else {
			buf = append(buf, hashes[i-1][:]...)
		}
		for _, t := range tokens[i*size : (i+1)*size] {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(t))
		}
		sum := sha256.Sum256(buf)
		hashes = append(hashes, Hash(sum[:16]))
	}
	return hashes
}

// LCP returns the length of the longest common prefix of two sequences, in tokens.
func LCP(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// IdealHit returns the largest possible hit, in tokens, of a prompt of promptTokens when the cache holds its first lcp tokens in blocks
// of size tokens. A hit is a whole number of blocks. At least one token is computed again, since its logits are needed.
func IdealHit(lcp, promptTokens, size int) int {
	return max(min(lcp, promptTokens-1), 0) / size * size
}

// Reusable returns how many tokens of a finished request are in the cache: the prompt and the output without the last sampled token,
// whose keys and values were never computed.
func Reusable(promptTokens, outputTokens int) int {
	return promptTokens + max(outputTokens-1, 0)
}

// block is one block of the pool. Free blocks form a queue. A free block that still has a hash can be hit until it is reused.
type block struct {
	hash       Hash
	hashed     bool
	refs       int // sequences that hold it
	prev, next *block
}

// Cache is a pool of blocks that sequences share. It is not safe for use by several goroutines.
type Cache struct {
	size     int
	capacity int // blocks; 0 means no limit
	made     int // blocks made so far
	inUse    int
	disabled bool
	byHash   map[Hash]*block
	free     block // sentinel of the queue of free blocks: free.next is reused first
}

// NewCache makes a pool of capacity blocks of size tokens each. A capacity of 0 sets no limit. size must be positive.
func NewCache(size, capacity int) *Cache {
	c := &Cache{size: size, capacity: capacity, byHash: map[Hash]*block{}}
	c.free.prev, c.free.next = &c.free, &c.free
	return c
}

// Disable makes every later lookup miss, as on a server whose prefix caching is switched off.
func (c *Cache) Disable() { c.disabled = true }

// Capacity returns the number of blocks, or 0 for no limit.
func (c *Cache) Capacity() int { return c.capacity }

// InUse returns the number of blocks that sequences hold.
func (c *Cache) InUse() int { return c.inUse }

// Reset empties the cache. While a sequence holds blocks, it does nothing and returns false.
func (c *Cache) Reset() bool {
	if c.inUse > 0 {
		return false
	}
	for b := c.free.next; b != &c.free; b = b.next {
		b.hashed = false
	}
	clear(c.byHash)
	return true
}

func (c *Cache) unlink(b *block) {
	b.prev.next, b.next.prev = b.next, b.prev
}

// take returns an empty block. If there is none, the block that was freed first loses its content. It returns nil when all are in use.
func (c *Cache) take() *block {
	b := c.free.next
	if b == &c.free || b.hashed {
		if c.capacity == 0 || c.made < c.capacity {
			c.made++
			c.inUse++
			return &block{refs: 1}
		}
		if b == &c.free {
			return nil
		}
	}
	c.unlink(b)
	if b.hashed {
		delete(c.byHash, b.hash)
		b.hashed = false
	}
	b.refs = 1
	c.inUse++
	return b
}

// touch holds a block that was hit.
func (c *Cache) touch(b *block) {
	if b.refs == 0 {
		c.unlink(b)
		c.inUse++
	}
	b.refs++
}

func (c *Cache) release(b *block) {
	if b.refs--; b.refs > 0 {
		return
	}
	c.inUse--
	after := c.free.prev
	if !b.hashed { // its content is not cached, so it is reused first
		after = &c.free
	}
	b.prev, b.next = after, after.next
	after.next.prev, after.next = b, b
}

// Seq is one request and the blocks that it holds.
type Seq struct {
	c      *Cache
	salt   string
	tokens []int32
	hashes []Hash
	blocks []*block
	full   int // number of blocks whose content is computed
	Hit    int // prompt tokens found in the cache, a multiple of the block size
}

// Open looks up a prompt and holds the blocks that hit. Close releases them.
func (c *Cache) Open(prompt []int32, salt string) *Seq {
	s := &Seq{c: c, salt: salt, tokens: prompt, hashes: Blocks(prompt, c.size, salt)}
	if c.disabled {
		return s
	}
	most := IdealHit(len(prompt), len(prompt), c.size) / c.size
	for _, h := range s.hashes[:most] {
		b, ok := c.byHash[h]
		if !ok {
			break
		}
		c.touch(b)
		s.blocks = append(s.blocks, b)
	}
	s.full = len(s.blocks)
	s.Hit = s.full * c.size
	return s
}

// Reserve holds blocks for n tokens in total. It returns false when the pool has too few blocks; the sequence then keeps those that it
// got.
func (s *Seq) Reserve(n int) bool {
	for len(s.blocks)*s.c.size < n {
		b := s.c.take()
		if b == nil {
			return false
		}
		s.blocks = append(s.blocks, b)
	}
	return true
}

// Computed tells that the first n tokens have been computed. Blocks that are full by then can be hit from now on, also by other
// sequences. more holds new tokens that follow those known so far.
func (s *Seq) Computed(n int, more ...int32) {
	if len(more) > 0 {
		s.tokens = append(s.tokens[:len(s.tokens):len(s.tokens)], more...)
		s.hashes = extend(s.hashes, s.tokens, s.c.size, s.salt)
	}
	for ; (s.full+1)*s.c.size <= n && s.full < len(s.hashes) && s.full < len(s.blocks); s.full++ {
		h, b := s.hashes[s.full], s.blocks[s.full]
		if _, there := s.c.byHash[h]; !there && !s.c.disabled {
			b.hash, b.hashed = h, true
			s.c.byHash[h] = b
		}
	}
}

// Close releases the blocks, the last one first, so that eviction begins at the end of a sequence.
func (s *Seq) Close() {
	for i := len(s.blocks) - 1; i >= 0; i-- {
		s.c.release(s.blocks[i])
	}
	s.blocks, s.full = nil, 0
}
