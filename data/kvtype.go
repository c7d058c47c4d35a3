package data

import "strings"

// KVValueBytes gives the bytes of one value in the KV cache, from the name of its type: vLLM's kv-cache-dtype, or llama.cpp's type of a
// cache, whose quantised blocks of 32 values have a scale (ggml-common.h). An unknown name, and "", is 16 bits.
func KVValueBytes(kind string) float64 {
	switch {
	case strings.HasPrefix(kind, "fp8"):
		return 1
	case kind == "f32":
		return 4
	case kind == "q8_0":
		return 34.0 / 32
	case kind == "q5_1":
		return 24.0 / 32
	case kind == "q5_0":
		return 22.0 / 32
	case kind == "q4_1":
		return 20.0 / 32
	case kind == "q4_0", kind == "iq4_nl":
		return 18.0 / 32
	}
	return 2
}
