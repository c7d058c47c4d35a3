# wb: build, test and try. Everything a target needs it installs itself, under .tools and .venv.
SHELL := /bin/bash -o pipefail
GO ?= go
TAGS := duckdb_arrow
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# go-nvml's header marks old functions as deprecated; the warnings are not ours to act on
export CGO_CFLAGS := -O2 -g -Wno-deprecated-declarations
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD := $(GO) build -tags $(TAGS) -trimpath -ldflags "$(LDFLAGS)"

.PHONY: build run test race lint fuzz browser shell e2e bench clean echarts
build: bin/wb
bin/wb: echarts FORCE
	@$(BUILD) -o $@ ./cmd/wb
FORCE:

# ECharts comes from its npm package; without npm the charts link a CDN
echarts:
	@./viz/assets/fetch.sh

# the default benchmark on the embedded simulator
run: build
	@bin/wb run --results results
	@echo "chart:    $$(ls -t results/*.html | head -n 1)"

test: echarts
	$(GO) test -tags $(TAGS) ./...

race: echarts
	$(GO) test -race -tags $(TAGS) ./...

LINT_VERSION := v2.15.0
.tools/golangci-lint:
	GOBIN=$(CURDIR)/.tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
lint: .tools/golangci-lint
	.tools/golangci-lint run --build-tags $(TAGS) ./...

# every fuzz target for FUZZTIME
FUZZTIME ?= 60s
fuzz:
	@set -e; for t in ./collect:FuzzSSE ./collect:FuzzMetrics ./queries:FuzzHeader ./data:FuzzConversation ./data:FuzzModelConfig ./collect/sim:FuzzRequest \
	  ./collect/vllm:FuzzArgs ./collect/vllm:FuzzLog ./data/hub:FuzzParseRef ./queries:FuzzGate ./collect:FuzzPlan ./data:FuzzSafetensors; do \
	  $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$${t#*:}$$" -fuzztime $(FUZZTIME) "$${t%:*}"; done

# charts in headless Chromium
browser: echarts
	$(GO) test -tags $(TAGS),browser -run Browser -count=1 ./viz ./cmd/wb

.venv/bin/duckdb:
	python3 -m venv .venv && .venv/bin/pip install -q duckdb-cli==1.5.5
# every report in the DuckDB shell
shell: .venv/bin/duckdb
	WB_DUCKDB_SHELL=$(CURDIR)/.venv/bin/duckdb $(GO) test -tags $(TAGS) -run Shell -count=1 -v ./cmd/wb

# a real vLLM on the CPU with a real small model; ENGINE is where it is installed
ENGINE ?= $(CURDIR)/.tools/engine
e2e: build
	./cmd/wb/testdata/engine/setup.sh $(ENGINE)
	WB_ENGINE=$(ENGINE) $(GO) test -tags $(TAGS) -run '^TestReal' -count=1 -v -timeout 25m ./cmd/wb

bench: build
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchtime 3x ./store ./queries ./data/prefix
	./docs/bench.sh

clean:
	rm -rf bin results .tools .venv

# kill -9 at 30 random moments of a run
.PHONY: crash
crash: echarts
	WB_KILLS=30 $(GO) test -tags $(TAGS) -run Kill -count=1 ./cmd/wb
