package gpu

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Product is the name of the first GPU that CUDA will see; nil for a slice of one, which has a part of its peaks only. list is
// CUDA_VISIBLE_DEVICES.
func (g *GPUs) Product(list string) *string { return g.visible(list).product() }

// Name is what the first GPU that CUDA will see is called; nil where it does not say. list is CUDA_VISIBLE_DEVICES.
func (g *GPUs) Name(list string) *string { return Known(g.visible(list).GetName()) }

// Memory gives the memory of the first GPU that CUDA will see, bytes. list is CUDA_VISIBLE_DEVICES.
func (g *GPUs) Memory(list string) (total, free int64, err error) {
	info, r := g.visible(list).GetMemoryInfo()
	if r != nvml.SUCCESS {
		return 0, 0, fmt.Errorf("read GPU memory: NVML error %d", int(r))
	}
	return int64(info.Total), int64(info.Free), nil
}

// Versions gives the driver's and the CUDA that it supports, "" where not known.
func (g *GPUs) Versions() (driver, cuda string) { return g.driver, g.cuda }

// visible gives the first GPU that CUDA will see.
func (g *GPUs) visible(list string) *Device {
	first, _, _ := strings.Cut(list, ",")
	for _, d := range g.Devices {
		if uuid, r := d.GetUUID(); first != "" && (strconv.Itoa(int(d.Index)) == first || (r == nvml.SUCCESS && strings.HasPrefix(uuid, first))) {
			return d
		}
	}
	return g.Devices[0]
}

// Used adds up the memory in use on all GPUs.
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

// product is the GPU's name; nil for a slice of one, which has a part of its peaks only.
func (d *Device) product() *string {
	if v, _, r := d.GetMigMode(); r == nvml.SUCCESS && v == nvml.DEVICE_MIG_ENABLE {
		return nil
	}
	return Known(d.GetName())
}
