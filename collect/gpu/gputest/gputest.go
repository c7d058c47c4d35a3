// Package gputest makes GPUs for tests.
package gputest

import (
	"encoding/binary"
	"fmt"
	"math"

	"wb/collect/gpu"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

func field(v uint32) (f nvml.FieldValue) {
	f.ValueType = uint32(nvml.VALUE_TYPE_UNSIGNED_INT)
	binary.LittleEndian.PutUint32(f.Value[:], v)
	return f
}

// FakeGPU makes a GPU that answers like the H200 of docs/design/measuring.md. With unsupported it does not support some of the readings.
func FakeGPU(unsupported bool) *gpu.GPUs {
	ret := func() nvml.Return {
		if unsupported {
			return nvml.ERROR_NOT_SUPPORTED
		}
		return nvml.SUCCESS
	}
	energy := uint64(1000)
	d := &mock.Device{
		GetUtilizationRatesFunc:          func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 87, Memory: 40}, nvml.SUCCESS },
		GetPowerUsageFunc:                func() (uint32, nvml.Return) { return 412_500, nvml.SUCCESS },
		GetClockInfoFunc:                 func(c nvml.ClockType) (uint32, nvml.Return) { return 1000 + uint32(c), ret() },
		GetTemperatureFunc:               func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 58, nvml.SUCCESS },
		GetCurrentClocksEventReasonsFunc: func() (uint64, nvml.Return) { return 4, ret() },
		GetMemoryInfoFunc:                func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 100, Used: 60}, nvml.SUCCESS },
		GetTotalEnergyConsumptionFunc:    func() (uint64, nvml.Return) { energy += 500; return energy, ret() },
		GetPerformanceStateFunc:          func() (nvml.Pstates, nvml.Return) { return nvml.PSTATE_0, nvml.SUCCESS },
		GetPcieThroughputFunc:            func(nvml.PcieUtilCounter) (uint32, nvml.Return) { return 2, ret() },
		GpmSampleGetFunc:                 func(nvml.GpmSample) nvml.Return { return nvml.SUCCESS },
		GetFieldValuesFunc: func(v []nvml.FieldValue) nvml.Return {
			v[0], v[1] = field(400_000), field(70)
			return ret()
		},
	}
	lib := &mock.Interface{
		ErrorStringFunc: func(r nvml.Return) string { return fmt.Sprint("error ", int(r)) },
		GpmMetricsGetFunc: func(g *nvml.GpmMetricsGetType) nvml.Return {
			for i := range g.NumMetrics {
				g.Metrics[i].Value = float64(10 * (i + 1))
			}
			g.Metrics[2].Value = math.NaN()
			return nvml.SUCCESS
		},
	}
	return gpu.With(lib, &gpu.Device{Device: d, GPM: [2]nvml.GpmSample{&mock.GpmSample{}, &mock.GpmSample{}}})
}

// Quiet gives the device of a fake GPU, and makes it support no fact about itself except its name.
func Quiet(g *gpu.GPUs) *mock.Device {
	lib, d := g.Lib.(*mock.Interface), g.Devices[0].Device.(*mock.Device)
	lib.ShutdownFunc = func() nvml.Return { return nvml.SUCCESS }
	g.Devices[0].GPM = [2]nvml.GpmSample{}
	no := nvml.ERROR_NOT_SUPPORTED
	d.GetUUIDFunc = func() (string, nvml.Return) { return "", no }
	d.GetNameFunc = func() (string, nvml.Return) { return "H200", nvml.SUCCESS }
	d.GetCudaComputeCapabilityFunc = func() (int, int, nvml.Return) { return 0, 0, no }
	d.GetEnforcedPowerLimitFunc = func() (uint32, nvml.Return) { return 0, no }
	d.GetMaxClockInfoFunc = func(nvml.ClockType) (uint32, nvml.Return) { return 0, no }
	d.GetCurrPcieLinkGenerationFunc = func() (int, nvml.Return) { return 0, no }
	d.GetCurrPcieLinkWidthFunc = func() (int, nvml.Return) { return 0, no }
	d.GetPersistenceModeFunc = func() (nvml.EnableState, nvml.Return) { return 0, no }
	d.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) { return 0, 0, no }
	d.GetMigModeFunc = func() (int, int, nvml.Return) { return 0, 0, no }
	return d
}
