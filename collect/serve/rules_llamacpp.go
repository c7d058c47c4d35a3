package serve

import (
	"regexp"
	"strings"
)

// Remedies that several rules name.
const (
	llamaSmaller = "use a smaller --max-model-len, -- -ctk q8_0 -ctv q8_0, or a smaller quantisation of the model"
	llamaFewer   = "use -- -ngl N to keep layers off the GPU, a smaller --max-model-len, or a smaller quantisation of the model"
	llamaAgain   = "remove the file and download it again"
)

// llamaRules come in order, those that tell most first: each failure to load a model ends with the same general lines. The messages are
// those of llama.cpp's builds 10434 and 11434. testdata/logs holds real logs.
var llamaRules = []rule{
	{
		re(`error while loading shared libraries: (libcuda\.so\.\d+|libnvidia\S+):`),
		"$1 is missing",
		"this is a CUDA build: install the NVIDIA driver, or take a build for the CPU",
	},
	{
		re(`error while loading shared libraries: ([^:\s]+):`),
		"the shared library $1 is missing",
		"put it beside llama-server, or name its folder in LD_LIBRARY_PATH",
	},
	{
		re(`error while handling argument "[^"]*": invalid device: (\S+)`),
		"there is no device $1",
		"llama-server --list-devices shows the devices",
	},
	{
		re(`error while handling (?:argument|environment variable) "([^"]+)": (?:stoi|stol|stof|stoul|stoull)\b`),
		"$1 wants a number",
		"see llama-server --help",
	},
	{
		re(`error while handling (?:argument|environment variable) "([^"]+)": (.+)`),
		"llama-server refuses $1: $2",
		"see llama-server --help",
	},
	{
		re(`error: invalid argument: (\S+)`),
		"llama-server does not know $1",
		"see llama-server --help for the flags of this build",
	},
	{
		re(`couldn't bind HTTP server socket`),
		"the port is taken",
		"use --port auto, or stop the program that holds it",
	},
	{
		re(`failed to open GGUF file '([^']+)' \(([^)]+)\)`),
		"$1 cannot be opened: $2",
		"check the path and who may read the file",
	},
	{
		re(`invalid magic characters: '(.*?)', expected 'GGUF'`),
		"the model is not a GGUF file: it begins with '$1'",
		"llama-server wants a file in the format GGUF",
	},
	{
		re(`tensor '([^']+)' data is not within the file`),
		"the model file is incomplete: the tensor $1 lies beyond its end",
		llamaAgain,
	},
	{
		re(`gguf_init_from\w+: failed to read (.+)`),
		"the model file is damaged: its $1 cannot be read",
		llamaAgain,
	},
	{
		re(`error loading model: unknown model architecture: '([^']+)'`),
		"this llama-server does not know the architecture $1",
		"use a newer build, or choose another model",
	},
	{
		re(`unknown pre-tokenizer type: '([^']+)'`),
		"this llama-server does not know the tokeniser $1",
		"use a newer build, or choose another model",
	},
	{
		re(`allocating ([\d.]+) MiB on device (\d+): cudaMalloc failed: out of memory`),
		"GPU $2 ran out of memory (it wanted $1 MiB more)",
		llamaFewer,
	},
	{
		re(`(?:cudaMalloc failed: out of memory|CUDA error: out of memory|ErrorOutOfDeviceMemory|` +
			`Device memory allocation of size \d+ failed)`),
		"the GPU ran out of memory",
		llamaFewer,
	},
	{
		re(`failed to allocate buffer for (?:kv|rs) cache`),
		"the KV cache does not fit into memory",
		llamaSmaller,
	},
	{
		re(`unable to allocate (\S+) buffer`),
		"the weights do not fit into memory ($1 buffer)",
		llamaSmaller,
	},
	{
		re(`(?:failed to allocate (?:compute|\S+ buffer of size)|failed to allocate buffer of size|ggml_aligned_malloc: insufficient memory|` +
			`std::bad_alloc)`),
		"the machine ran out of memory",
		llamaSmaller,
	},
	{
		re(`quantized V cache requires flash_attn`),
		"a quantised V cache needs flash attention",
		"add -- -fa on, or leave -ctv out",
	},
	{
		re(`error: the supplied chat template is not supported`),
		"llama-server cannot use the chat template",
		"check --chat-template and --chat-template-file, or add -- --no-jinja",
	},
	{
		re(`llama_init_from_model: (?:failed to initialize the context: )?(.+)`),
		"the context cannot be made: $1",
		"check the arguments after --",
	},
	{
		re(`CUDA driver version is insufficient for CUDA runtime version`),
		"the NVIDIA driver is too old for this build's CUDA",
		"update the driver, or take a build for an older CUDA",
	},
	{
		re(`no kernel image is available for execution on the device`),
		"this llama-server has no code for this GPU's architecture",
		"take a build for this GPU",
	},
	{
		re(`CUDA error: (.+)`),
		"the GPU failed: $1",
		"the kernel's log says more (dmesg); restart the machine if the GPU stays away",
	},
	{
		re(`GGML_ASSERT\((.+)\) failed`),
		"a check inside llama-server failed: $1",
		"try another build, or other arguments",
	},
	{
		re(`(?:error loading model: missing tensor|missing tensor) '([^']+)'`),
		"the model file lacks the tensor $1",
		"it may need a newer build; otherwise remove the file and download it again",
	},
	{
		re(`[Nn]o space left on device`),
		"the disk is full",
		"free some space",
	},
	{
		re(`error loading model: (.+)`),
		"the model cannot be loaded: $1",
		"the file may be damaged, or need a newer build",
	},
}

var llamaError = regexp.MustCompile(`^(?:\d+\.\d\d\.\d{3}\.\d{3} E \s*|error: )(.+)$`)

// follows matches errors that only follow from an earlier one.
var follows = regexp.MustCompile(`llama_server: exiting|` +
	`failed to create.context|failed to load model|common_fit_params: encountered an error`)

// lastLlamaError finds the last error in a log that is more than the end of what went wrong before.
func lastLlamaError(log string) string {
	found := ""
	for line := range strings.SplitSeq(log, "\n") {
		if m := llamaError.FindStringSubmatch(line); m != nil && !follows.MatchString(line) {
			found = strings.Join(strings.Fields(m[1]), " ")
		}
	}
	return clip(found)
}
