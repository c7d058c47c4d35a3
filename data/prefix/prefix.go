// Package prefix models vLLM's automatic prefix caching over token ids: chained block hashes, a pool with LRU eviction, and
// the figures that say what a prompt could have reused. It knows no server and no clock.
//
// Source of the rules: vLLM V1 (vllm/v1/core/kv_cache_utils.py, block_pool.py, single_type_kv_cache_manager.py), held against
// answers of vLLM 0.32 in this package's tests.
package prefix

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash identifies one full block and everything before it.
type Hash [16]byte

// Blocks gives the hashes of the full blocks of a sequence: floor(len(tokens)/size) of them. Each covers the block's token
// ids and, through the chain, all tokens before; the salt enters the first, so that other salts share nothing.
func Blocks(tokens []int32, size int, salt string) []Hash {
	return extend(nil, tokens, size, salt)
}

// extend adds to hashes those of the full blocks of tokens that are not there yet.
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

// LCP is the length of the longest common prefix of two sequences, in tokens.
func LCP(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// IdealHit is the most tokens a prompt of promptTokens can take from a cache that holds lcp of them, with blocks of size
// tokens: whole blocks, and at least one token is computed again, since its logits are needed.
func IdealHit(lcp, promptTokens, size int) int {
	return max(min(lcp, promptTokens-1), 0) / size * size
}

// Reusable is how many tokens of a finished request lie in the cache: prompt and output less the last sampled token, whose
// keys and values were never computed.
func Reusable(promptTokens, outputTokens int) int {
	return promptTokens + max(outputTokens-1, 0)
}

// block is one slot of the pool. Free slots form a queue; a free slot that still has a hash can be hit until it is reused.
type block struct {
	hash       Hash
	hashed     bool
	refs       int
	prev, next *block
}

// Cache is a pool of blocks shared by sequences. It is not safe for several goroutines.
type Cache struct {
	size     int
	capacity int // blocks; 0 = no limit
	made     int
	inUse    int
	disabled bool
	byHash   map[Hash]*block
	free     block // sentinel of the queue: free.next is reused first
}

// NewCache makes a pool of capacity blocks (0 = no limit) of size tokens each. size must be positive.
func NewCache(size, capacity int) *Cache {
	c := &Cache{size: size, capacity: capacity, byHash: map[Hash]*block{}}
	c.free.prev, c.free.next = &c.free, &c.free
	return c
}

// Disable makes every later lookup miss, as a server with prefix caching switched off.
func (c *Cache) Disable() { c.disabled = true }

// Capacity is the number of blocks, 0 for no limit.
func (c *Cache) Capacity() int { return c.capacity }

// InUse is the number of blocks that sequences hold.
func (c *Cache) InUse() int { return c.inUse }

// Reset forgets everything cached. It does nothing and gives false while a sequence holds blocks.
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

// take gives an empty slot; the one freed longest ago loses what it cached. nil: the pool is exhausted.
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
	if !b.hashed { // nothing is lost by reusing it, so it goes first
		after = &c.free
	}
	b.prev, b.next = after, after.next
	after.next.prev, after.next = b, b
}

// Seq is one request's hold on the pool.
type Seq struct {
	c      *Cache
	salt   string
	tokens []int32
	hashes []Hash
	blocks []*block
	full   int // blocks whose content is computed and cached
	Hit    int // prompt tokens found in the cache, a multiple of the block size
}

// Open looks a prompt up and holds the blocks that hit. Close lets them go.
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

// Reserve holds slots for n tokens in all. false: the pool is short, and nothing has changed but for slots already held.
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

// Computed says that the first n tokens have been computed: blocks that became full can be hit from now on, also by other
// sequences. more are tokens that follow the prompt, given once each.
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

// Close lets the blocks go, last one first, so that eviction takes a sequence from its tail.
func (s *Seq) Close() {
	for i := len(s.blocks) - 1; i >= 0; i-- {
		s.c.release(s.blocks[i])
	}
	s.blocks, s.full = nil, 0
}
