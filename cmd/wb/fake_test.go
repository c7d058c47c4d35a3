package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"

	"wb/collect/serve"
	"wb/collect/sim"
	"wb/data/hub/hubtest"
)

// fakeVLLM is the simulator behind vLLM's command line: "vllm serve MODEL --port N …". FAKE_LOG names a file that it prints as its log.
// After that, FAKE_EXIT ends it with that code. FAKE_DIE ends it after so many requests, as vLLM ends when its engine core dies.
func fakeVLLM() {
	a, err := serve.VLLM().Flags(os.Args[3:])
	fakeFails(err)
	fakeLog()
	fmt.Println("(APIServer pid=1) INFO non-default args: {}")
	fmt.Println("(EngineCore pid=2) INFO [cpu_model_runner.py:68] Starting to load model m...")
	fmt.Println("(EngineCore pid=2) INFO [kv_cache_utils.py:2327] CPU KV cache size: 46,592 tokens, " +
		"Maximum concurrency for 8,192 tokens per request: 5.69x")
	served, ok := a.Get("served-model-name")
	if !ok {
		served = os.Args[2]
	}
	port, _ := a.Get("port")
	fakeServes(served, port, func() {
		fmt.Println("(APIServer pid=1) ERROR [core_client.py:600] Engine core proc EngineCore died unexpectedly, shutting down client.")
		os.Exit(0)
	})
}

// fakeFails ends an imitated server with an error.
func fakeFails(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// fakeLog prints the file that FAKE_LOG names.
func fakeLog() {
	if f := os.Getenv("FAKE_LOG"); f != "" {
		b, err := os.ReadFile(f)
		fakeFails(err)
		fmt.Print(string(b))
	}
}

// fakeServes ends with the code of FAKE_EXIT, or else serves a model until SIGTERM. It dies after as many requests as FAKE_DIE says.
func fakeServes(model, port string, die func()) {
	if code, err := strconv.Atoi(os.Getenv("FAKE_EXIT")); err == nil {
		os.Exit(code)
	}
	o := sim.Options{Model: model, Profile: "instant"}
	if last, err := strconv.Atoi(os.Getenv("FAKE_DIE")); err == nil {
		var requests atomic.Int64
		o.Served = func(sim.Served) {
			if requests.Add(1) == int64(last) {
				die()
			}
		}
	}
	srv, err := sim.New(o)
	fakeFails(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	_, err = srv.Start(ctx, net.JoinHostPort("127.0.0.1", port))
	fakeFails(err)
	<-ctx.Done()
	fakeFails(srv.Close())
}

// fakeGGUF is a small model in a GGUF file, or one of several parts of it. fileType is that of llama.cpp: 15 for Q4_K_M, 7 for Q8_0.
func fakeGGUF(fileType, part, parts int) []byte {
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			if s, ok := v.(string); ok {
				_ = binary.Write(&b, binary.LittleEndian, uint64(len(s)))
				v = []byte(s)
			}
			_ = binary.Write(&b, binary.LittleEndian, v)
		}
	}
	entries := []struct {
		name  string
		value int
	}{{"general.file_type", fileType}, {"split.no", part}, {"split.count", parts}, {"llama.block_count", 2}, {"llama.context_length", 4096},
		{"llama.embedding_length", 64}, {"llama.feed_forward_length", 128}, {"llama.attention.head_count", 2}, {"llama.vocab_size", 800}}
	put([]byte("GGUF"), uint32(3), uint64(1), uint64(len(entries)+1), "general.architecture", uint32(8), "llama")
	for _, e := range entries {
		put(e.name, uint32(4), uint32(e.value))
	}
	put("token_embd.weight", uint32(2), uint64(64), uint64(800), uint32(0), uint64(0))
	b.Write(make([]byte, (32-b.Len()%32)%32))
	r := rand.New(rand.NewPCG(uint64(fileType), uint64(part)))
	for range 64 * 800 {
		_ = binary.Write(&b, binary.LittleEndian, r.Uint32())
	}
	return b.Bytes()
}

// fakeHub serves two small models, one of them gated, and one in GGUF files, until it is interrupted. It writes its URL into the file named
// by its first argument.
func fakeHub() {
	weights := make([]byte, 400_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range weights {
		weights[i] = byte(r.Uint32())
	}
	copy(weights, "\x10\x00\x00\x00\x00\x00\x00\x00{\"a\": {}}       ") // as a safetensors file begins
	model := map[string][]byte{"model.safetensors": weights, "tokenizer.json": []byte("{}"), "README.md": []byte("read me"),
		"config.json": []byte(`{"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 64,` +
			` "vocab_size": 100, "max_position_embeddings": 8192}`)}
	h, stop := hubtest.Start(map[string]map[string][]byte{
		"HuggingFaceTB/SmolLM2-135M-Instruct": model,
		"meta-llama/Llama-3.2-1B-Instruct":    model,
		"org/Tiny-GGUF": {"README.md": []byte("read me"), "config.json": []byte("{}"), "tiny-Q4_K_M.gguf": fakeGGUF(15, 0, 1),
			"Q8_0/tiny-Q8_0-00001-of-00002.gguf": fakeGGUF(7, 0, 2), "Q8_0/tiny-Q8_0-00002-of-00002.gguf": fakeGGUF(7, 1, 2),
			"mmproj-tiny-F16.gguf": fakeGGUF(1, 0, 1), "imatrix.gguf": fakeGGUF(0, 0, 1)},
	})
	defer stop()
	h.Gated["meta-llama/Llama-3.2-1B-Instruct"], h.CutAfter, h.Cuts = true, 150_000, 1
	if err := os.WriteFile(os.Args[1], []byte(h.URL), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	<-ctx.Done()
}
