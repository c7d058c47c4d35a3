package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wb/store"
)

// GPUs is the machine's NVIDIA GPUs through NVML, which is loaded at run time: without it, opening fails and nothing else.
type GPUs struct {
	lib     nvml.Interface
	devices []*gpuDevice
	driver  string
	cuda    string
}

// gpuDevice is one GPU and what it turned out to support. A reading that the GPU does not support is tried once.
type gpuDevice struct {
	nvml.Device
	index int32
	gpm   [2]nvml.GpmSample // the sample before and the one now
	has   bool              // gpm[0] holds a sample
}

// ErrNoGPU is returned when the machine has no NVIDIA GPU that NVML can read.
var ErrNoGPU = errors.New("no NVIDIA GPU")

// OpenGPUs loads NVML and lists the GPUs. Call Close in the end.
func OpenGPUs() (*GPUs, error) {
	lib := nvml.New()
	if r := lib.Init(); r != nvml.SUCCESS {
		return nil, fmt.Errorf("%w: NVML: %s", ErrNoGPU, nvmlText(lib, r))
	}
	n, r := lib.DeviceGetCount()
	if r != nvml.SUCCESS || n == 0 {
		lib.Shutdown()
		return nil, fmt.Errorf("%w: NVML lists none", ErrNoGPU)
	}
	g := &GPUs{lib: lib}
	lacks := lacking(lib)
	if v, r := lib.SystemGetDriverVersion(); r == nvml.SUCCESS {
		g.driver = v
	}
	if !lacks(symCUDAVersion) {
		if v, r := lib.SystemGetCudaDriverVersion(); r == nvml.SUCCESS {
			g.cuda = fmt.Sprintf("%d.%d", v/1000, v%1000/10) // nvml.h: NVML_CUDA_DRIVER_VERSION_MAJOR
		}
	}
	for i := range n {
		handle, r := lib.DeviceGetHandleByIndex(i)
		if r != nvml.SUCCESS {
			continue
		}
		d := checkedDevice{handle, lacks}
		dev := &gpuDevice{Device: d, index: int32(i)}
		if s, r := d.GpmQueryDeviceSupport(); r == nvml.SUCCESS && s.IsSupportedDevice != 0 {
			a, r1 := lib.GpmSampleAlloc()
			b, r2 := lib.GpmSampleAlloc()
			if r1 == nvml.SUCCESS && r2 == nvml.SUCCESS {
				dev.gpm = [2]nvml.GpmSample{a, b}
			}
		}
		g.devices = append(g.devices, dev)
	}
	if len(g.devices) == 0 {
		lib.Shutdown()
		return nil, fmt.Errorf("%w: NVML lists %d but opens none", ErrNoGPU, n)
	}
	return g, nil
}

func nvmlText(lib nvml.Interface, r nvml.Return) string {
	if r == nvml.ERROR_LIBRARY_NOT_FOUND { // there is no library to ask for the text
		return "the library is not installed"
	}
	return lib.ErrorString(r)
}

// Close frees NVML.
func (g *GPUs) Close() {
	for _, d := range g.devices {
		for _, s := range d.gpm {
			if s != nil {
				s.Free()
			}
		}
	}
	g.lib.Shutdown()
}

// Facts describes each GPU.
func (g *GPUs) Facts() []store.GPU {
	var out []store.GPU
	for _, d := range g.devices {
		row := store.GPU{GPU: d.index, DriverVersion: orNil(g.driver), CUDAVersion: orNil(g.cuda), GPM: new(d.gpm[0] != nil)}
		row.UUID = got(d.GetUUID())
		row.Name = got(d.GetName())
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

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func got(s string, r nvml.Return) *string {
	if r != nvml.SUCCESS {
		return nil
	}
	return &s
}

// fastGPU reads what costs microseconds: utilisation, average power, clocks, temperature, throttle reasons, memory.
type fastGPU struct {
	run  *run
	gpus *GPUs
}

func (s *fastGPU) name() string { return "gpu (fast)" }

func (s *fastGPU) sample(ctx context.Context, _ time.Duration) error {
	var watts float64
	var errs []error
	for _, d := range s.gpus.devices {
		row := store.GPUSample{RunID: s.run.id, GPU: d.index, SampleGroup: "fast"}
		start := s.run.clock()
		r := readings{gpu: d.index}
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
		errs = append(errs, r.err, s.run.addGPU(ctx, row, start))
	}
	s.run.gpuWatts.Store(math.Float64bits(watts))
	return errors.Join(errs...)
}

// slowGPU reads what costs milliseconds: the energy counter, instant power, memory temperature, PCIe traffic and GPM.
type slowGPU struct {
	run  *run
	gpus *GPUs
}

func (s *slowGPU) name() string { return "gpu (slow)" }

// gpmMetrics are percentages (nvml.h, nvmlGpmMetricId_t).
var gpmMetrics = [...]nvml.GpmMetricId{nvml.GPM_METRIC_SM_UTIL, nvml.GPM_METRIC_SM_OCCUPANCY, nvml.GPM_METRIC_ANY_TENSOR_UTIL, nvml.GPM_METRIC_DRAM_BW_UTIL}

func (s *slowGPU) sample(ctx context.Context, _ time.Duration) error {
	var errs []error
	for _, d := range s.gpus.devices {
		row := store.GPUSample{RunID: s.run.id, GPU: d.index, SampleGroup: "slow"}
		start := s.run.clock()
		r := readings{gpu: d.index}
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
		if d.gpm[0] != nil {
			r.note("GPM", s.activity(d, &row))
		}
		errs = append(errs, r.err, s.run.addGPU(ctx, row, start))
	}
	return errors.Join(errs...)
}

// activity fills the GPM columns: means between the last sample and this one.
func (s *slowGPU) activity(d *gpuDevice, row *store.GPUSample) error {
	if ret := d.GpmSampleGet(d.gpm[1]); ret != nvml.SUCCESS {
		return errors.New(s.gpus.lib.ErrorString(ret))
	}
	if d.has {
		get := nvml.GpmMetricsGetType{NumMetrics: uint32(len(gpmMetrics)), Sample1: d.gpm[0], Sample2: d.gpm[1]}
		for i, id := range gpmMetrics {
			get.Metrics[i].MetricId = uint32(id)
		}
		if ret := s.gpus.lib.GpmMetricsGet(&get); ret != nvml.SUCCESS {
			return errors.New(s.gpus.lib.ErrorString(ret))
		}
		for i, to := range []**float64{&row.SMActiveRatio, &row.SMOccupancyRatio, &row.TensorActiveRatio, &row.DRAMActiveRatio} {
			if m := get.Metrics[i]; nvml.Return(m.NvmlReturn) == nvml.SUCCESS && !math.IsNaN(m.Value) {
				*to = new(m.Value / 100)
			}
		}
	}
	d.gpm[0], d.gpm[1], d.has = d.gpm[1], d.gpm[0], true
	return nil
}

// readings collects what failed in one sample; a reading the GPU does not support is no failure.
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

func (r *run) addGPU(ctx context.Context, row store.GPUSample, start int64) error {
	row.CostNs = r.clock() - start
	row.TNs = start + row.CostNs/2
	return store.Add(ctx, r.rec, row)
}
