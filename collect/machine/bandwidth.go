package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/mem"

	"wb/data/plain"
)

// Bandwidth is how fast the processors of this machine together read its main memory.
type Bandwidth struct {
	BytesPerS  int64
	Processors int
}

// String gives the bandwidth in words, such as "23.4 GB/s read with 2 processors".
func (b Bandwidth) String() string {
	return fmt.Sprintf("%.1f GB/s read with %s", float64(b.BytesPerS)/1e9, plain.Count(b.Processors, "processor"))
}

const (
	leastArrayBytes = 256 << 20
	cacheShares     = 4 // the array is this many times the last-level caches, by the run rules of STREAM
	leastShares     = 2 // with fewer, part of every pass would come from the caches
	freeShare       = 4 // the array takes at most a fourth of the free memory
	leastPasses     = 3
	passesNs        = int64(700 * time.Millisecond)
	chunkLines      = 1 << 17 // a reader looks at its context after as many lines
)

// line is what memory gives to a processor at once: 64 bytes, and on some processors 128.
type line [lineBytes / 8]uint64

const lineBytes = 64

// MemoryBandwidth reads an array in main memory with all processors several times, for about a second, and gives the speed of the best
// pass. It measures as STREAM does (McCalpin, "Memory Bandwidth and Machine Balance in Current High Performance Computers", 1995, and
// https://www.cs.virginia.edu/stream/ref.html): the array is four times the last-level caches, its pages were touched before, and the best
// pass counts. Unlike STREAM's kernels it only reads, as a decode step reads the weights. now gives a time in nanoseconds.
// A context that ends stops it after some milliseconds. The array's memory is given back.
func MemoryBandwidth(ctx context.Context, now func() int64) (Bandwidth, error) {
	free, err := freeMemory(ctx)
	if err != nil {
		return Bandwidth{}, fmt.Errorf("measure memory: read free memory: %w", err)
	}
	bytes, err := arrayBytes(lastLevelBytes(os.DirFS("/sys/devices/system/cpu")), free)
	if err != nil {
		return Bandwidth{}, fmt.Errorf("measure memory: %w", err)
	}
	defer debug.FreeOSMemory()
	return readArray(ctx, now, bytes/lineBytes, runtime.GOMAXPROCS(0))
}

// arrayBytes gives the size of the array for last-level caches and free memory of these sizes.
func arrayBytes(caches, free int64) (int64, error) {
	bytes := min(max(cacheShares*caches, leastArrayBytes), free/freeShare)
	if least := max(leastShares*caches, leastArrayBytes/leastShares); bytes < least {
		return 0, fmt.Errorf("a fourth of the free memory, %s, is less than %s, so the processors' caches would be measured too",
			plain.InGiB(free/freeShare), plain.InGiB(least))
	}
	return bytes, nil
}

// errMisread is returned when the sum of the array is not that of what was written.
var errMisread = errors.New("measure memory: the sum of the array is wrong")

// readArray measures with an array of so many lines. Each reader is a goroutine with a separate part of the array.
func readArray(ctx context.Context, now func() int64, lines int64, readers int) (Bandwidth, error) {
	array := make([]line, lines)
	inChunks := func(reader int, f func([]line)) {
		n := int64(readers)
		part := array[lines*int64(reader)/n : lines*int64(reader+1)/n]
		for len(part) > 0 && ctx.Err() == nil {
			k := min(chunkLines, len(part))
			f(part[:k])
			part = part[k:]
		}
	}
	// a page that was never written to has no memory, and a reader's pages should be near it
	together(readers, func(i int) { inChunks(i, fill) })
	best := Bandwidth{Processors: readers}
	sums := make([]uint64, readers)
	for pass, began := 0, now(); pass < leastPasses || now()-began < passesNs; pass++ {
		start := now()
		together(readers, func(i int) {
			total := uint64(0)
			inChunks(i, func(chunk []line) { total += sum(chunk) })
			sums[i] = total
		})
		took := now() - start
		if err := ctx.Err(); err != nil {
			return Bandwidth{}, fmt.Errorf("measure memory: %w", err)
		}
		total := uint64(0)
		for _, s := range sums {
			total += s
		}
		if total != uint64(lines) {
			return Bandwidth{}, errMisread
		}
		best.BytesPerS = max(best.BytesPerS, int64(float64(lines*lineBytes)/float64(max(took, 1))*1e9))
	}
	return best, nil
}

// together calls f in n goroutines, each with a number from 0, and waits for all.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// fill sets the first word of each line to 1.
func fill(lines []line) {
	for i := range lines {
		lines[i][0] = 1
	}
}

// sum adds up the first words of the lines. The whole line comes from memory. A loop over all words would have more instructions than a
// processor can look ahead over, and would be up to a third slower than what vector instructions read.
// With one accumulator each addition would wait for the one before, and not for memory.
func sum(lines []line) uint64 {
	var a, b, c, d uint64
	for len(lines) >= 8 {
		l := (*[8]line)(lines)
		a += l[0][0] + l[4][0]
		b += l[1][0] + l[5][0]
		c += l[2][0] + l[6][0]
		d += l[3][0] + l[7][0]
		lines = lines[8:]
	}
	for i := range lines {
		a += lines[i][0]
	}
	return a + b + c + d
}

// lastLevelBytes gives the size of all caches of the highest level together. It gives 0 where the system does not say.
// cpus is the folder /sys/devices/system/cpu.
func lastLevelBytes(cpus fs.FS) int64 {
	read := func(dir, name string) string {
		b, _ := fs.ReadFile(cpus, path.Join(dir, name))
		return strings.TrimSpace(string(b))
	}
	dirs, _ := fs.Glob(cpus, "cpu[0-9]*/cache/index[0-9]*")
	highest, total := 0, int64(0)
	seen := map[string]bool{} // a cache is listed once for every processor that shares it
	for _, d := range dirs {
		level, err := strconv.Atoi(read(d, "level"))
		if err != nil || level < highest {
			continue
		}
		if level > highest {
			highest, total = level, 0
			clear(seen)
		}
		if shared := read(d, "shared_cpu_list"); shared == "" || !seen[shared] {
			seen[shared] = true
			total += cacheSize(read(d, "size"))
		}
	}
	return total
}

// cacheSize reads a size such as 32768K or 480M. It gives 0 for any other text.
func cacheSize(s string) int64 {
	unit := int64(1)
	for suffix, u := range map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = number, u
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n * unit
}

// freeMemory gives the bytes that a process may take now. In a container it is what the container's limit leaves.
func freeMemory(ctx context.Context) (int64, error) {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return 0, err
	}
	return min(int64(m.Available), groupRoom(os.DirFS("/sys/fs/cgroup"), int64(m.Available))), nil
}

// groupRoom gives what the limit of a control group leaves. What the group only caches of files counts as free. It gives otherwise for a
// group without a limit. group is the folder of a group of version 2; of a container it is /sys/fs/cgroup.
func groupRoom(group fs.FS, otherwise int64) int64 {
	number := func(s string) (int64, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		return n, err == nil
	}
	read := func(name string) string { b, _ := fs.ReadFile(group, name); return string(b) }
	limit, limited := number(read("memory.max")) // the text "max" says that there is none
	used, known := number(read("memory.current"))
	if !limited || !known {
		return otherwise
	}
	for line := range strings.Lines(read("memory.stat")) {
		name, value, _ := strings.Cut(line, " ")
		if n, ok := number(value); ok && (name == "inactive_file" || name == "active_file") {
			used -= n
		}
	}
	return max(limit-max(used, 0), 0)
}
