package data

// ggmlType is how the values of a tensor are stored: in blocks of so many values, each of so many bytes.
type ggmlType struct {
	name         string
	values, size int64
}

// ggmlTypes has the types by their numbers (ggml/include/ggml.h of llama.cpp, sizes in gguf-py/gguf/constants.py). The numbers that are
// missing were removed from the format.
var ggmlTypes = map[uint32]ggmlType{
	0: {"F32", 1, 4}, 1: {"F16", 1, 2}, 2: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20}, 6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24},
	8: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36}, 10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, 12: {"Q4_K", 256, 144},
	13: {"Q5_K", 256, 176}, 14: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292}, 16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74},
	18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110}, 22: {"IQ2_S", 256, 82},
	23: {"IQ4_XS", 256, 136}, 24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4}, 27: {"I64", 1, 8}, 28: {"F64", 1, 8},
	29: {"IQ1_M", 256, 56}, 30: {"BF16", 1, 2}, 34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17},
	40: {"NVFP4", 64, 36}, 41: {"Q1_0", 128, 18}, 42: {"Q2_0", 64, 18},
}

// fileTypes has the names of general.file_type (enum llama_ftype in include/llama.h of llama.cpp).
var fileTypes = map[int64]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
	14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
	23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M",
	32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}

// fileTypeGuessed is added to a file type that llama.cpp guessed (LLAMA_FTYPE_GUESSED).
const fileTypeGuessed = 1024

// windows says how the layers of an architecture take turns when its file does not say so: of every layers, all but one attend only to a
// window. every is 0 where all do. The full one is the last, or the first of them. The values are those of load_swa_pattern in
// src/models of llama.cpp. It ignores the window of other architectures, such as phi3 and qwen2.
type windows struct {
	every  int64
	first  bool
	tokens int64 // length of the window where the file does not have it
}

var windowsOf = map[string]windows{
	"gemma2": {every: 2, tokens: 4096}, "gemma3": {every: 6}, "gemma3n": {every: 5}, "gpt-oss": {every: 2}, "cohere2": {every: 4},
	"cohere2moe": {every: 4, first: true}, "exaone4": {every: 4, tokens: 4096}, "exaone-moe": {every: 4, tokens: 128}, "olmo2": {every: 4},
	"plamo3": {every: 8}, "llama4": {every: 4, tokens: 8192}, "afmoe": {every: 4}, "laguna": {every: 4, first: true}, "mellum": {every: 4},
	"muse-glimmer": {every: 4}, "smallthinker": {every: 4, first: true}, "lfm2": {}, "lfm2moe": {},
}

// recurrentArchitectures keep a state in all of their layers instead of a KV cache (llm_arch_is_recurrent in src/llama-arch.cpp).
var recurrentArchitectures = []string{"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"}

// hybridArchitectures keep a state in some of their layers, or beside the KV cache (llm_arch_is_hybrid).
var hybridArchitectures = []string{
	"jamba", "falcon-h1", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "qwen3next", "kimi-linear",
	"bailingmoe3", "kimi-k3", "glm5-next", "qwen35", "qwen35moe", "qwen4exp", "deepseek4", "minimax-01",
}

// intervalArchitectures have one layer with attention in so many, four by default; the others keep a state (src/models of llama.cpp).
var intervalArchitectures = []string{"qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"}
