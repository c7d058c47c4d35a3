//go:build linux

package sample

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"wb/collect/gpu"
)

// A call of a function that the library of an older driver lacks would end the process. The test builds a library that lacks all but a few
// functions, and runs itself again with it.
func TestOldDriver(t *testing.T) {
	if os.Getenv("WB_OLD_DRIVER") != "" {
		readOldDriver(t)
		return
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	library := filepath.Join(dir, "libnvidia-ml.so.1")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-o", library, "testdata/old_nvml.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOldDriver$", "-test.v")
	cmd.Env = append(os.Environ(), "WB_OLD_DRIVER=1", "LD_LIBRARY_PATH="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func readOldDriver(t *testing.T) {
	ctx := context.Background()
	g, err := gpu.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	f := GPUFacts(g)
	if len(f) != 1 || *f[0].Name != "Old GPU" || *f[0].DriverVersion != "418.226.00" ||
		f[0].CUDAVersion != nil || f[0].MemoryTotalBytes != nil || f[0].MIG != nil || *f[0].GPM {
		t.Errorf("%+v", f)
	}
	r, db := testEnv(t)
	for range 2 {
		if err := errors.Join((&fastGPU{r, g}).Sample(ctx, 0), (&slowGPU{r, g}).Sample(ctx, 0)); err != nil {
			t.Error(err)
		}
	}
	if err := r.Rec.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	got := one(t, db, `SELECT concat_ws(' ', count(*), any_value(power_w), any_value(throttle_reasons), count(gpu_util_ratio),
		count(energy_mj), count(memory_used_bytes), count(power_instant_w), count(performance_state), count(pcie_tx_bytes_per_s),
		count(sm_active_ratio), count(sm_clock_mhz), count(temperature_c)) FROM raw.gpu_sample`)
	if want := "4 250.0 4 0 0 0 0 0 0 0 0 0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if total, free, err := g.Memory(""); err == nil { // wb reads this when it recommends models
		t.Errorf("memory of %d bytes, %d free", total, free)
	}
}
