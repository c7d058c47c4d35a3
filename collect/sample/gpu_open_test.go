package sample

import (
	"errors"
	"strings"
	"testing"

	"wb/collect/gpu"
)

func TestNoGPU(t *testing.T) {
	g, err := gpu.Open()
	if err == nil {
		defer g.Close()
		if len(GPUFacts(g)) == 0 {
			t.Error("GPUs without facts")
		}
		return
	}
	if !errors.Is(err, gpu.ErrNoGPU) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a GPU: %v", err)
	}
}
