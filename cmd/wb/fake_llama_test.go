package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"

	"wb/collect/serve"
	"wb/collect/sim"
)

// fakeLlama is the simulator behind llama-server's command line. FAKE_LOG names a file that it prints as its log. After that, FAKE_EXIT
// ends it with that code. FAKE_DIE kills it after so many requests.
func fakeLlama() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
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
	fail(err)
	if f := os.Getenv("FAKE_LOG"); f != "" {
		b, err := os.ReadFile(f)
		fail(err)
		fmt.Print(string(b))
	}
	get := func(name string) string { v, _ := a.Get(name); return v }
	fmt.Printf("0.00.001.000 I srv    load_model: loading model '%s'\n", get("model"))
	fmt.Printf("0.00.002.000 I srv    load_model: initializing, n_slots = %s, n_ctx_slot = %s, kv_unified = 'false'\n", get("parallel"),
		get("ctx-size"))
	if code, err := strconv.Atoi(os.Getenv("FAKE_EXIT")); err == nil {
		os.Exit(code)
	}
	o := sim.Options{Model: get("alias"), Profile: "instant"}
	if last, err := strconv.Atoi(os.Getenv("FAKE_DIE")); err == nil {
		var requests atomic.Int64
		o.Served = func(sim.Served) {
			if requests.Add(1) == int64(last) {
				fail(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			}
		}
	}
	srv, err := sim.New(o)
	fail(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	_, err = srv.Start(ctx, net.JoinHostPort("127.0.0.1", get("port")))
	fail(err)
	<-ctx.Done()
	fail(srv.Close())
}
