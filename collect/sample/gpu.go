package sample

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wb/collect/gpu"
	"wb/data/plain"
	"wb/store"
)

// gpuSource samples NVIDIA's GPUs through NVML, and records their facts when the run begins.
func gpuSource(ctx context.Context, env *Env) ([]Sampler, func(), error) {
	open := gpu.Open
	if env.OpenGPUs != nil {
		open = env.OpenGPUs
	}
	g, err := open()
	if err != nil {
		if env.Begins {
			env.Warn(store.EventNoGPU, "gpu", err.Error()+"; GPU columns stay empty")
		}
		return nil, nil, nil // the machine has no GPU, or wb cannot read it: the run goes on
	}
	if env.Begins {
		if err := recordGPUs(ctx, env, g); err != nil {
			env.Tell(store.EventSamplerFailed, "gpu", err.Error())
		}
	}
	return []Sampler{&fastGPU{env, g}, &slowGPU{env, g}}, g.Close, nil
}

// recordGPUs records the facts of the GPUs. Those by which two runs are compared are recorded as settings too.
func recordGPUs(ctx context.Context, env *Env, g *gpu.GPUs) error {
	facts := GPUFacts(g)
	var settings []store.Setting
	for i := range facts {
		f := &facts[i]
		f.RunID = env.RunID
		add := func(name, value string) {
			settings = append(settings, store.Setting{RunID: env.RunID, Source: "gpu", Name: fmt.Sprintf("gpu%d.%s", f.GPU, name), Value: value})
		}
		for name, v := range map[string]*string{"name": f.Name, "driver_version": f.DriverVersion, "cuda_version": f.CUDAVersion,
			"compute_capability": f.ComputeCapability} {
			if v != nil {
				add(name, *v)
			}
		}
		if f.PowerLimitW != nil {
			add("power_limit_w", fmt.Sprint(*f.PowerLimitW))
		}
	}
	return errors.Join(store.Add(ctx, env.Rec, facts...), store.Add(ctx, env.Rec, settings...))
}

// GPUFacts describes each GPU.
func GPUFacts(g *gpu.GPUs) []store.GPU {
	var out []store.GPU
	driver, cuda := g.Versions()
	for _, d := range g.Devices {
		row := store.GPU{GPU: d.Index, DriverVersion: plain.OrNil(driver), CUDAVersion: plain.OrNil(cuda), GPM: new(d.GPM[0] != nil)}
		row.UUID = gpu.Known(d.GetUUID())
		row.Name = gpu.Known(d.GetName())
		if major, minor, r := d.GetCudaComputeCapability(); r == nvml.SUCCESS {
			row.ComputeCapability = new(fmt.Sprintf("%d.%d", major, minor))
		}
		if m, r := d.GetMemoryInfo(); r == nvml.SUCCESS {
			row.MemoryTotalBytes = new(int64(m.Total))
		}
		if w, r := d.GetEnforcedPowerLimit(); r == nvml.SUCCESS {
			row.PowerLimitW = new(float64(w) / 1e3)
		}
		if m, r := d.GetMaxClockInfo(nvml.CLOCK_SM); r == nvml.SUCCESS {
			row.SMClockMaxMHz = new(int64(m))
		}
		if m, r := d.GetMaxClockInfo(nvml.CLOCK_MEM); r == nvml.SUCCESS {
			row.MemoryClockMaxMHz = new(int64(m))
		}
		if v, r := d.GetCurrPcieLinkGeneration(); r == nvml.SUCCESS {
			row.PCIeGeneration = new(int32(v))
		}
		if v, r := d.GetCurrPcieLinkWidth(); r == nvml.SUCCESS {
			row.PCIeWidth = new(int32(v))
		}
		if v, r := d.GetPersistenceMode(); r == nvml.SUCCESS {
			row.Persistence = new(v == nvml.FEATURE_ENABLED)
		}
		if v, _, r := d.GetEccMode(); r == nvml.SUCCESS {
			row.ECC = new(v == nvml.FEATURE_ENABLED)
		}
		if v, _, r := d.GetMigMode(); r == nvml.SUCCESS {
			row.MIG = new(v == nvml.DEVICE_MIG_ENABLE)
		}
		out = append(out, row)
	}
	return out
}

// fastGPU reads what takes microseconds: utilisation, average power, clocks, temperature, throttle reasons, memory.
type fastGPU struct {
	env  *Env
	gpus *gpu.GPUs
}

func (s *fastGPU) Name() string { return "gpu (fast)" }

func (s *fastGPU) Sample(ctx context.Context, _ time.Duration) error {
	var watts float64
	var errs []error
	for _, d := range s.gpus.Devices {
		row := store.GPUSample{RunID: s.env.RunID, GPU: d.Index, SampleGroup: "fast"}
		start := s.env.Now()
		r := readings{gpu: d.Index}
		if u, ret := d.GetUtilizationRates(); r.ok("utilisation", ret) {
			row.GPUUtilRatio, row.MemoryUtilRatio = new(float64(u.Gpu)/100), new(float64(u.Memory)/100)
		}
		if w, ret := d.GetPowerUsage(); r.ok("power", ret) {
			row.PowerW = new(float64(w) / 1e3)
			watts += *row.PowerW
		}
		if m, ret := d.GetClockInfo(nvml.CLOCK_SM); r.ok("SM clock", ret) {
			row.SMClockMHz = new(int64(m))
		}
		if m, ret := d.GetClockInfo(nvml.CLOCK_MEM); r.ok("memory clock", ret) {
			row.MemoryClockMHz = new(int64(m))
		}
		if c, ret := d.GetTemperature(nvml.TEMPERATURE_GPU); r.ok("temperature", ret) {
			row.TemperatureC = new(float64(c))
		}
		if x, ret := d.GetCurrentClocksEventReasons(); r.ok("throttle reasons", ret) {
			row.ThrottleReasons = new(int64(x))
		}
		if m, ret := d.GetMemoryInfo(); r.ok("memory", ret) {
			row.MemoryUsedBytes = new(int64(m.Used))
		}
		errs = append(errs, r.err, addGPU(ctx, s.env, row, start))
	}
	s.env.gpuWatts.Store(math.Float64bits(watts))
	return errors.Join(errs...)
}

// MostHz leaves the rate to the user's setting, because a reading takes microseconds.
func (s *fastGPU) MostHz() float64 { return 1000 }

// slowGPU reads what takes milliseconds: the energy counter, instant power, memory temperature, PCIe traffic and GPM.
type slowGPU struct {
	env  *Env
	gpus *gpu.GPUs
}

func (s *slowGPU) Name() string { return "gpu (slow)" }

// MostHz is low, because a reading takes milliseconds.
func (s *slowGPU) MostHz() float64 { return 2 }

// gpmMetrics are the metrics that activity reads, in its order. NVML gives them as percentages (nvml.h, nvmlGpmMetricId_t).
var gpmMetrics = [...]nvml.GpmMetricId{
	nvml.GPM_METRIC_SM_UTIL,
	nvml.GPM_METRIC_SM_OCCUPANCY,
	nvml.GPM_METRIC_ANY_TENSOR_UTIL,
	nvml.GPM_METRIC_DRAM_BW_UTIL,
}

func (s *slowGPU) Sample(ctx context.Context, _ time.Duration) error {
	var errs []error
	for _, d := range s.gpus.Devices {
		row := store.GPUSample{RunID: s.env.RunID, GPU: d.Index, SampleGroup: "slow"}
		start := s.env.Now()
		r := readings{gpu: d.Index}
		if e, ret := d.GetTotalEnergyConsumption(); r.ok("energy", ret) {
			row.EnergyMJ = new(int64(e))
		}
		fields := []nvml.FieldValue{{FieldId: nvml.FI_DEV_POWER_INSTANT}, {FieldId: nvml.FI_DEV_MEMORY_TEMP}}
		if ret := d.GetFieldValues(fields); r.ok("field values", ret) {
			if v, ok := fieldNumber(fields[0]); ok {
				row.PowerInstantW = new(v / 1e3)
			}
			if v, ok := fieldNumber(fields[1]); ok && v > 0 {
				row.MemoryTempC = &v
			}
		}
		if p, ret := d.GetPerformanceState(); r.ok("performance state", ret) {
			row.PerformanceState = new(int32(p))
		}
		if k, ret := d.GetPcieThroughput(nvml.PCIE_UTIL_TX_BYTES); r.ok("PCIe throughput", ret) {
			row.PCIeTxBytesPerS = new(float64(k) * 1024) // nvml.h: KB/s
		}
		if k, ret := d.GetPcieThroughput(nvml.PCIE_UTIL_RX_BYTES); r.ok("PCIe throughput", ret) {
			row.PCIeRxBytesPerS = new(float64(k) * 1024)
		}
		if d.GPM[0] != nil {
			r.note("GPM", s.activity(d, &row))
		}
		errs = append(errs, r.err, addGPU(ctx, s.env, row, start))
	}
	return errors.Join(errs...)
}

// activity fills the GPM columns with means between the previous sample and this one.
func (s *slowGPU) activity(d *gpu.Device, row *store.GPUSample) error {
	if ret := d.GpmSampleGet(d.GPM[1]); ret != nvml.SUCCESS {
		return errors.New(s.gpus.Lib.ErrorString(ret))
	}
	if d.Sampled {
		get := nvml.GpmMetricsGetType{NumMetrics: uint32(len(gpmMetrics)), Sample1: d.GPM[0], Sample2: d.GPM[1]}
		for i, id := range gpmMetrics {
			get.Metrics[i].MetricId = uint32(id)
		}
		if ret := s.gpus.Lib.GpmMetricsGet(&get); ret != nvml.SUCCESS {
			return errors.New(s.gpus.Lib.ErrorString(ret))
		}
		for i, to := range []**float64{&row.SMActiveRatio, &row.SMOccupancyRatio, &row.TensorActiveRatio, &row.DRAMActiveRatio} {
			if m := get.Metrics[i]; nvml.Return(m.NvmlReturn) == nvml.SUCCESS && !math.IsNaN(m.Value) {
				*to = new(m.Value / 100)
			}
		}
	}
	d.GPM[0], d.GPM[1], d.Sampled = d.GPM[1], d.GPM[0], true
	return nil
}

// readings collects what failed in one sample. A reading that the GPU does not support is not a failure.
type readings struct {
	gpu int32
	err error
}

func (r *readings) ok(what string, ret nvml.Return) bool {
	if ret != nvml.SUCCESS && ret != nvml.ERROR_NOT_SUPPORTED {
		r.note(what, fmt.Errorf("NVML error %d", int(ret)))
	}
	return ret == nvml.SUCCESS
}

func (r *readings) note(what string, err error) {
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("gpu %d: %s: %w", r.gpu, what, err))
	}
}

// fieldNumber reads the union of an NVML field value by its type.
func fieldNumber(f nvml.FieldValue) (float64, bool) {
	if nvml.Return(f.NvmlReturn) != nvml.SUCCESS {
		return 0, false
	}
	bits := binary.LittleEndian.Uint64(f.Value[:])
	switch nvml.ValueType(f.ValueType) {
	case nvml.VALUE_TYPE_DOUBLE:
		return math.Float64frombits(bits), true
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return float64(uint32(bits)), true
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return float64(bits), true
	case nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		return float64(int64(bits)), true
	case nvml.VALUE_TYPE_SIGNED_INT:
		return float64(int32(bits)), true
	}
	return 0, false
}

// addGPU records a sample that began at start, with its cost. Its time is the middle of the reading.
func addGPU(ctx context.Context, env *Env, row store.GPUSample, start int64) error {
	row.CostNs = env.Now() - start
	row.TNs = start + row.CostNs/2
	return store.Add(ctx, env.Rec, row)
}
