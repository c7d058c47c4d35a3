// Package gpu reads NVIDIA's GPUs through NVML, which is loaded at run time.
package gpu

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// GPUs is the machine's NVIDIA GPUs through NVML, which is loaded at run time: without it, opening fails and nothing else.
type GPUs struct {
	Lib     nvml.Interface
	Devices []*Device
	driver  string
	cuda    string
}

// Device is one GPU and what it turned out to support. A reading that the GPU does not support is tried once.
type Device struct {
	nvml.Device
	Index   int32
	GPM     [2]nvml.GpmSample // the sample before and the one now
	Sampled bool              // gpm[0] holds a sample
}

// ErrNoGPU is returned when the machine has no NVIDIA GPU that NVML can read.
var ErrNoGPU = errors.New("no NVIDIA GPU")

// Open loads NVML and lists the GPUs. Call Close in the end.
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

func nvmlText(lib nvml.Interface, r nvml.Return) string {
	if r == nvml.ERROR_LIBRARY_NOT_FOUND { // there is no library to ask for the text
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

// Known gives what NVML told; nil where it did not.
func Known(s string, r nvml.Return) *string {
	if r != nvml.SUCCESS {
		return nil
	}
	return &s
}

// With gives GPUs of devices that are open already, numbered in their order.
func With(lib nvml.Interface, devices ...*Device) *GPUs {
	g := &GPUs{Lib: lib, Devices: devices}
	for i, d := range devices {
		d.Index = int32(i)
	}
	return g
}
