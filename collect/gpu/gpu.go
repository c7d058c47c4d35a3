// Package gpu opens NVIDIA's GPUs through NVML, which is loaded at run time, and reads facts that several packages need. It knows nothing
// about runs or the store.
package gpu

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// GPUs holds the machine's NVIDIA GPUs. On a machine without NVML only Open fails.
type GPUs struct {
	Lib     nvml.Interface
	Devices []*Device
	driver  string
	cuda    string
}

// Device is one GPU.
type Device struct {
	nvml.Device
	Index   int32
	GPM     [2]nvml.GpmSample // the previous sample and the current one; nil where the GPU does not support GPM
	Sampled bool              // GPM[0] holds a sample
}

// ErrNoGPU is returned when the machine has no NVIDIA GPU that NVML can read.
var ErrNoGPU = errors.New("no NVIDIA GPU")

// Open loads NVML and opens the GPUs. The error wraps ErrNoGPU when there is none. Call Close at the end.
func Open() (*GPUs, error) {
	lib := nvml.New()
	if r := lib.Init(); r != nvml.SUCCESS {
		return nil, fmt.Errorf("%w: NVML: %s", ErrNoGPU, nvmlText(lib, r))
	}
	n, r := lib.DeviceGetCount()
	if r != nvml.SUCCESS || n == 0 {
		lib.Shutdown()
		return nil, fmt.Errorf("%w: NVML lists none", ErrNoGPU)
	}
	g := &GPUs{Lib: lib}
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
		dev := &Device{Device: d, Index: int32(i)}
		if s, r := d.GpmQueryDeviceSupport(); r == nvml.SUCCESS && s.IsSupportedDevice != 0 {
			a, r1 := lib.GpmSampleAlloc()
			b, r2 := lib.GpmSampleAlloc()
			if r1 == nvml.SUCCESS && r2 == nvml.SUCCESS {
				dev.GPM = [2]nvml.GpmSample{a, b}
			}
		}
		g.Devices = append(g.Devices, dev)
	}
	if len(g.Devices) == 0 {
		lib.Shutdown()
		return nil, fmt.Errorf("%w: NVML lists %d but opens none", ErrNoGPU, n)
	}
	return g, nil
}

// nvmlText gives NVML's text for a return code.
func nvmlText(lib nvml.Interface, r nvml.Return) string {
	if r == nvml.ERROR_LIBRARY_NOT_FOUND { // without the library, its texts are not available
		return "the library is not installed"
	}
	return lib.ErrorString(r)
}

// Close frees NVML.
func (g *GPUs) Close() {
	for _, d := range g.Devices {
		for _, s := range d.GPM {
			if s != nil {
				s.Free()
			}
		}
	}
	g.Lib.Shutdown()
}

// Known gives the text that NVML returned. It is nil when NVML returned an error.
func Known(s string, r nvml.Return) *string {
	if r != nvml.SUCCESS {
		return nil
	}
	return &s
}

// With makes GPUs from devices that are open already, and numbers them in their order.
func With(lib nvml.Interface, devices ...*Device) *GPUs {
	g := &GPUs{Lib: lib, Devices: devices}
	for i, d := range devices {
		d.Index = int32(i)
	}
	return g
}
