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
bin/wb: echarts prepared FORCE
	@$(BUILD) -o $@ ./cmd/wb
FORCE:

# an empty file with the whole schema, of which new files are copies
.PHONY: prepared
prepared:
	@$(GO) run -tags $(TAGS) ./store/prepare store/prepared

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

# every fuzz target for FUZZTIME; Go would spend up to a minute on making one interesting input smaller, and try no others meanwhile.
# When its time ends in the middle of something Go may call that a failure (golang/go#75804): one of ours always names its input.
FUZZTIME ?= 60s
fuzz:
	@set -e; mkdir -p .tools; for t in ./collect/client:FuzzSSE ./collect/engine:FuzzMetrics ./queries:FuzzHeader ./data:FuzzConversation ./data:FuzzModelConfig ./collect/sim:FuzzRequest \
	  ./collect/serve:FuzzArgs ./collect/serve:FuzzLog ./data/hub:FuzzParseRef ./queries:FuzzGate ./queries:FuzzSplit \
	  ./collect/client:FuzzReply ./collect/client:FuzzAlike ./collect/bench:FuzzPlan ./data:FuzzSafetensors \
	  ./data/yamlfile:FuzzParse ./data/yamlfile:FuzzWrite; do \
	  $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$${t#*:}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "$${t%:*}" 2>&1 | tee .tools/fuzz.out || \
	  { grep -q 'context deadline exceeded' .tools/fuzz.out && ! grep -q 'Failing input' .tools/fuzz.out; }; done

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
	WB_ENGINE=$(ENGINE) $(GO) test -tags $(TAGS) -run '^TestReal' -count=1 -v -timeout 43m ./cmd/wb

bench: build .venv/bin/duckdb .tools/extensions
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchtime 3x ./store ./collect/client ./collect/bench ./queries ./queries/stats ./data/prefix
	./docs/bench.sh
	./docs/bench-reports.sh
	./docs/bench-history.sh
	./docs/bench-lake.sh

clean:
	rm -rf bin results .tools .venv

# kill -9 at 100 random moments of a run
.PHONY: crash soak
crash: echarts
	WB_KILLS=100 $(GO) test -tags $(TAGS) -run Kill -count=1 ./cmd/wb

# five minutes that hold hours of conversation, and a run that is looked at all the time
SOAK ?= 100s
soak: echarts
	WB_SOAK=$(SOAK) $(GO) test -tags $(TAGS) -run 'TestSoak|TestLookedAt' -count=1 -v -timeout 20m ./cmd/wb

# lakes and Parquet: DuckDB's extensions from their packages, a PostgreSQL of Debian's, ClickHouse and Spark as readers, and moto for an object store
EXTENSIONS := $(CURDIR)/.tools/extensions
.tools/extensions:
	python3 -m pip download -q --no-deps -d $@.part duckdb-extension-ducklake==1.5.5 duckdb-extension-postgres-scanner==1.5.5 duckdb-extension-httpfs==1.5.5
	cd $@.part && for w in *.whl; do python3 -m zipfile -e $$w .; done && rm *.whl
	mv $@.part $@
.tools/readers2:
	command -v java >/dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends default-jre-headless; }
	python3 -m venv $@.part && $@.part/bin/pip install -q chdb==4.4.0 pyspark==4.3.0 'moto[server]==5.1.0'
	mv $@.part $@
.PHONY: lake
lake: echarts .tools/extensions .tools/readers2
	ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql; }
	WB_EXTENSION_DIR=$(EXTENSIONS) WB_READERS=$(CURDIR)/.tools/readers2/bin/python WB_POSTGRES=$$(ls -d /usr/lib/postgresql/*/bin | tail -n 1) \
	  $(GO) test -tags $(TAGS) -run 'Lake|HistoriesElsewhere|OtherReaders|OlderFolder|NewerCopy' -count=1 -v -timeout 15m ./store ./queries ./cmd/wb
