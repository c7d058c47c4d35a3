package gpu

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Product gives the name of the first GPU that CUDA will see. It is nil for a MIG slice, which has only a part of the GPU's peak rates.
// list is the value of CUDA_VISIBLE_DEVICES.
func (g *GPUs) Product(list string) *string { return g.visible(list).product() }

// Name gives the name of the first GPU that CUDA will see. It is nil where NVML does not say. list is the value of CUDA_VISIBLE_DEVICES.
func (g *GPUs) Name(list string) *string { return Known(g.visible(list).GetName()) }

// Memory gives the memory of the first GPU that CUDA will see, in bytes. list is the value of CUDA_VISIBLE_DEVICES.
func (g *GPUs) Memory(list string) (total, free int64, err error) {
	info, r := g.visible(list).GetMemoryInfo()
	if r != nvml.SUCCESS {
		return 0, 0, fmt.Errorf("read GPU memory: NVML error %d", int(r))
	}
	return int64(info.Total), int64(info.Free), nil
}

// Versions gives the version of the driver, and the CUDA version that it supports. Either is "" where it is not known.
func (g *GPUs) Versions() (driver, cuda string) { return g.driver, g.cuda }

// visible gives the first GPU that CUDA will see. list holds indices or the starts of UUIDs.
func (g *GPUs) visible(list string) *Device {
	first, _, _ := strings.Cut(list, ",")
	for _, d := range g.Devices {
		if uuid, r := d.GetUUID(); first != "" && (strconv.Itoa(int(d.Index)) == first || (r == nvml.SUCCESS && strings.HasPrefix(uuid, first))) {
			return d
		}
	}
	return g.Devices[0]
}

// Used adds up the memory in use on all GPUs, in bytes. The result is false when a GPU cannot be read.
func (g *GPUs) Used() (int64, bool) {
	var sum int64
	for _, d := range g.Devices {
		info, r := d.GetMemoryInfo()
		if r != nvml.SUCCESS {
			return 0, false
		}
		sum += int64(info.Used)
	}
	return sum, true
}

// product gives the GPU's name. It is nil for a MIG slice.
func (d *Device) product() *string {
	if v, _, r := d.GetMigMode(); r == nvml.SUCCESS && v == nvml.DEVICE_MIG_ENABLE {
		return nil
	}
	return Known(d.GetName())
}
