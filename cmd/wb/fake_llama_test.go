package main

import (
	"fmt"
	"os"
	"syscall"

	"wb/collect/serve"
)

// fakeLlama is the simulator behind llama-server's command line. FAKE_LOG names a file that it prints as its log. After that, FAKE_EXIT
// ends it with that code. FAKE_DIE kills it after so many requests.
func fakeLlama() {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "--version":
			fmt.Fprintln(os.Stderr, "version: 10434 (7e4c0a9b2)\nbuilt with GNU 11.4.0 for Linux x86_64")
			return
		case "--help":
			fmt.Println("-lv,   --verbosity, --log-verbosity N\n  - 4: trace (more info)\n--device LIST\n--ctx-size N\n--parallel N\n--threads N\n" +
				"--metrics\n--jinja, --no-jinja\n--ui, --webui, --no-ui, --no-webui\n--cache-ram N\n--ubatch-size N")
			return
		case "--list-devices":
			fmt.Println("Available devices:\n  (none)")
			return
		}
	}
	a, err := serve.LlamaServer().Flags(os.Args[1:])
	fakeFails(err)
	fakeLog()
	get := func(name string) string { v, _ := a.Get(name); return v }
	fmt.Printf("0.00.001.000 I srv    load_model: loading model '%s'\n", get("model"))
	fmt.Printf("0.00.002.000 I srv    load_model: initializing, n_slots = %s, n_ctx_slot = %s, kv_unified = 'false'\n", get("parallel"),
		get("ctx-size"))
	fakeServes(get("alias"), get("port"), func() { fakeFails(syscall.Kill(os.Getpid(), syscall.SIGKILL)) })
}
