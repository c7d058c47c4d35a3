package engine

import (
	"context"
	"path/filepath"

	"github.com/shirou/gopsutil/v4/process"

	"wb/collect/client"
	"wb/data"
)

// readModelFile reads the header of the model's GGUF file, where it lies on this machine. A path that is not absolute is one of the
// server's working directory.
func (f *Facts) readModelFile(ctx context.Context, c *client.Client) {
	if _, local := c.Local(); !local || f.ModelRoot == nil {
		return
	}
	path := *f.ModelRoot
	if !filepath.IsAbs(path) {
		pid, ok := ServerPID(ctx, c)
		if !ok {
			return
		}
		p, err := process.NewProcessWithContext(ctx, pid)
		if err != nil {
			return
		}
		dir, err := p.CwdWithContext(ctx)
		if err != nil {
			return
		}
		path = filepath.Join(dir, path)
	}
	m, err := data.ReadGGUF(path)
	if err != nil {
		return // the server may run in a container: its path is not one of this machine
	}
	if n := f.WeightsBytes; n != nil && *n != m.WeightsBytes {
		return // another file of the same name
	}
	f.ModelFile, f.GGUF, f.Recurrent = path, m, m.Recurrent
	if m.SlidingLayers > 0 {
		f.WindowTokens = m.SlidingWindow
	}
	pair := data.KVValueBytes(f.Flags["cache-type-k"]) + data.KVValueBytes(f.Flags["cache-type-v"])
	f.KVTokenBytes = int64(float64(m.KVBytesPerToken(2)) / 4 * pair)
}
