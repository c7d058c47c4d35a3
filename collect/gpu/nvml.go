package gpu

import "github.com/NVIDIA/go-nvml/pkg/nvml"

// checkedDevice is a GPU whose driver may be older than a function that wb calls. The dynamic linker looks up a function of NVML when it is
// called first, and ends the process when the library lacks it. So each function is looked up before it is called. A function that the
// library lacks counts as a reading that the GPU does not support.
type checkedDevice struct {
	nvml.Device
	lacks func(symbol string) bool
}

// lacking gives a function that says whether NVML's library lacks a symbol. Each symbol is looked up only once.
func lacking(lib nvml.Interface) func(symbol string) bool {
	known := map[string]bool{}
	for _, s := range nvmlSymbols {
		known[s] = lib.Extensions().LookupSymbol(s) != nil
	}
	return func(symbol string) bool { return known[symbol] }
}

// nvmlSymbols are the functions that wb calls and that NVML's first versions did not have, or that later versions may drop. The sources are
// nvml.h and the release notes of the drivers.
var nvmlSymbols = []string{
	symCapability, symCUDAVersion, symClock, symClocksEvent, symClocksThrottle, symECC, symEnergy, symFields, symMaxClock, symMemory,
	symMIG, symName, symPCIeGen, symPCIeWidth, symPCIeRate, symPState, symPersistence, symPower, symPowerLimit, symTemperature, symUUID,
	symUtilization, symGPMFree, symGPMGet, symGPMMetrics, symGPMAlloc, symGPMSupport,
}

const (
	symCapability     = "nvmlDeviceGetCudaComputeCapability"
	symCUDAVersion    = "nvmlSystemGetCudaDriverVersion"
	symClock          = "nvmlDeviceGetClockInfo"
	symClocksEvent    = "nvmlDeviceGetCurrentClocksEventReasons" // from driver 535 on
	symClocksThrottle = "nvmlDeviceGetCurrentClocksThrottleReasons"
	symECC            = "nvmlDeviceGetEccMode"
	symEnergy         = "nvmlDeviceGetTotalEnergyConsumption"
	symFields         = "nvmlDeviceGetFieldValues"
	symMaxClock       = "nvmlDeviceGetMaxClockInfo"
	symMemory         = "nvmlDeviceGetMemoryInfo"
	symMIG            = "nvmlDeviceGetMigMode" // from driver 450 on
	symName           = "nvmlDeviceGetName"
	symPCIeGen        = "nvmlDeviceGetCurrPcieLinkGeneration"
	symPCIeWidth      = "nvmlDeviceGetCurrPcieLinkWidth"
	symPCIeRate       = "nvmlDeviceGetPcieThroughput"
	symPState         = "nvmlDeviceGetPerformanceState"
	symPersistence    = "nvmlDeviceGetPersistenceMode"
	symPower          = "nvmlDeviceGetPowerUsage"
	symPowerLimit     = "nvmlDeviceGetEnforcedPowerLimit"
	symTemperature    = "nvmlDeviceGetTemperature"
	symUUID           = "nvmlDeviceGetUUID"
	symUtilization    = "nvmlDeviceGetUtilizationRates"
	symGPMFree        = "nvmlGpmSampleFree" // GPM: from driver 520 on
	symGPMGet         = "nvmlGpmSampleGet"
	symGPMMetrics     = "nvmlGpmMetricsGet"
	symGPMAlloc       = "nvmlGpmSampleAlloc"
	symGPMSupport     = "nvmlGpmQueryDeviceSupport"
)

// checked calls a function of NVML if the library has it.
func checked[T any](d checkedDevice, symbol string, get func() (T, nvml.Return)) (v T, r nvml.Return) {
	if d.lacks(symbol) {
		return v, nvml.ERROR_NOT_SUPPORTED
	}
	return get()
}

// checked2 is checked for a function with two results.
func checked2[T any](d checkedDevice, symbol string, get func() (T, T, nvml.Return)) (a, b T, r nvml.Return) {
	if d.lacks(symbol) {
		return a, b, nvml.ERROR_NOT_SUPPORTED
	}
	return get()
}

func (d checkedDevice) GetUUID() (string, nvml.Return) { return checked(d, symUUID, d.Device.GetUUID) }
func (d checkedDevice) GetName() (string, nvml.Return) { return checked(d, symName, d.Device.GetName) }
func (d checkedDevice) GetCudaComputeCapability() (int, int, nvml.Return) {
	return checked2(d, symCapability, d.Device.GetCudaComputeCapability)
}
func (d checkedDevice) GetMemoryInfo() (nvml.Memory, nvml.Return) {
	return checked(d, symMemory, d.Device.GetMemoryInfo)
}
func (d checkedDevice) GetEnforcedPowerLimit() (uint32, nvml.Return) {
	return checked(d, symPowerLimit, d.Device.GetEnforcedPowerLimit)
}
func (d checkedDevice) GetMaxClockInfo(c nvml.ClockType) (uint32, nvml.Return) {
	return checked(d, symMaxClock, func() (uint32, nvml.Return) { return d.Device.GetMaxClockInfo(c) })
}
func (d checkedDevice) GetCurrPcieLinkGeneration() (int, nvml.Return) {
	return checked(d, symPCIeGen, d.Device.GetCurrPcieLinkGeneration)
}
func (d checkedDevice) GetCurrPcieLinkWidth() (int, nvml.Return) {
	return checked(d, symPCIeWidth, d.Device.GetCurrPcieLinkWidth)
}
func (d checkedDevice) GetPersistenceMode() (nvml.EnableState, nvml.Return) {
	return checked(d, symPersistence, d.Device.GetPersistenceMode)
}
func (d checkedDevice) GetEccMode() (nvml.EnableState, nvml.EnableState, nvml.Return) {
	return checked2(d, symECC, d.Device.GetEccMode)
}
func (d checkedDevice) GetMigMode() (int, int, nvml.Return) {
	return checked2(d, symMIG, d.Device.GetMigMode)
}
func (d checkedDevice) GetUtilizationRates() (nvml.Utilization, nvml.Return) {
	return checked(d, symUtilization, d.Device.GetUtilizationRates)
}
func (d checkedDevice) GetPowerUsage() (uint32, nvml.Return) {
	return checked(d, symPower, d.Device.GetPowerUsage)
}
func (d checkedDevice) GetClockInfo(c nvml.ClockType) (uint32, nvml.Return) {
	return checked(d, symClock, func() (uint32, nvml.Return) { return d.Device.GetClockInfo(c) })
}
func (d checkedDevice) GetTemperature(s nvml.TemperatureSensors) (uint32, nvml.Return) {
	return checked(d, symTemperature, func() (uint32, nvml.Return) { return d.Device.GetTemperature(s) })
}

// GetCurrentClocksEventReasons uses the function's former name with older drivers. The bits are the same.
func (d checkedDevice) GetCurrentClocksEventReasons() (uint64, nvml.Return) {
	if d.lacks(symClocksEvent) {
		return checked(d, symClocksThrottle, d.GetCurrentClocksThrottleReasons)
	}
	return d.Device.GetCurrentClocksEventReasons()
}
func (d checkedDevice) GetTotalEnergyConsumption() (uint64, nvml.Return) {
	return checked(d, symEnergy, d.Device.GetTotalEnergyConsumption)
}
func (d checkedDevice) GetFieldValues(fields []nvml.FieldValue) nvml.Return {
	_, r := checked(d, symFields, func() (struct{}, nvml.Return) { return struct{}{}, d.Device.GetFieldValues(fields) })
	return r
}
func (d checkedDevice) GetPerformanceState() (nvml.Pstates, nvml.Return) {
	return checked(d, symPState, d.Device.GetPerformanceState)
}
func (d checkedDevice) GetPcieThroughput(c nvml.PcieUtilCounter) (uint32, nvml.Return) {
	return checked(d, symPCIeRate, func() (uint32, nvml.Return) { return d.Device.GetPcieThroughput(c) })
}
func (d checkedDevice) GpmQueryDeviceSupport() (nvml.GpmSupport, nvml.Return) {
	for _, s := range []string{symGPMAlloc, symGPMFree, symGPMGet, symGPMMetrics} {
		if d.lacks(s) {
			return nvml.GpmSupport{}, nvml.ERROR_NOT_SUPPORTED
		}
	}
	return checked(d, symGPMSupport, d.Device.GpmQueryDeviceSupport)
}
