# wb: build, test and try. Everything a target needs it installs itself, under .tools and .venv.
SHELL := /bin/bash -o pipefail
GO ?= go
TAGS := duckdb_arrow
RELEASE := $(VERSION)
override VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# go-nvml's header marks old functions as deprecated; the warnings are not ours to act on
export CGO_CFLAGS := -O2 -g -Wno-deprecated-declarations
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD := $(GO) build -tags $(TAGS) -trimpath -ldflags "$(LDFLAGS)"

# the packages that have a test or benchmark whose first line matches
packages_with = $(shell find . -name '.?*' -prune -o -name '*_test.go' -print | xargs grep -lE '^func $(1)' | xargs -n 1 dirname | sort -u)

.PHONY: build run test race lint fuzz browser shell e2e bench clean echarts
build: bin/wb
bin/wb: echarts prepared FORCE
	@$(BUILD) -o $@ ./cmd/wb
FORCE:

# an empty file with the whole schema, of which new files are copies
.PHONY: prepared
prepared:
	@[ -x bin/wb ] || echo "building wb; the first time takes some minutes" >&2
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

# the pages of docs/reference that are made from the code
.PHONY: docs
docs: echarts
	$(GO) test -tags $(TAGS) -run 'Page$$' -count=1 ./cmd/wb -update

race: echarts
	$(GO) test -race -timeout 18m -tags $(TAGS) ./...

LINT_VERSION := v2.15.0
.tools/golangci-lint:
	GOBIN=$(CURDIR)/.tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
lint: .tools/golangci-lint
	.tools/golangci-lint run --allow-parallel-runners --build-tags $(TAGS) ./...
	$(GO) run ./cmd/sizes

# every fuzz target of the module for FUZZTIME, FUZZ_AT_ONCE of them side by side
FUZZTIME ?= 60s
FUZZ_AT_ONCE ?= $(shell getconf _NPROCESSORS_ONLN)
fuzz:
	GO=$(GO) TAGS=$(TAGS) ./.ci/fuzz $(FUZZTIME) $(FUZZ_AT_ONCE)

# charts in headless Chromium
browser: echarts
	$(GO) test -tags $(TAGS),browser -run Browser -count=1 $(call packages_with,Test[A-Za-z]*Browser)

.venv/bin/duckdb:
	python3 -m venv .venv && .venv/bin/pip install -q duckdb-cli==1.5.5
# what the examples of docs/how-to/notebooks.md import
.venv/notebook: .venv/bin/duckdb
	.venv/bin/pip install -q duckdb==1.5.5 pandas==3.1.1
	touch $@
# every report in the DuckDB shell, and the notebook examples in Python
shell: .venv/notebook
	WB_DUCKDB_SHELL=$(CURDIR)/.venv/bin/duckdb $(GO) test -tags $(TAGS) -run Shell -count=1 -v ./cmd/wb

# a real vLLM on the CPU with a real small model; ENGINE is where it is installed
ENGINE ?= $(CURDIR)/.tools/engine
.PHONY: engine
engine:
	./cmd/wb/testdata/engine/setup.sh $(ENGINE)
# some of its tests: those that match one pattern and not the other
E2E_TESTS ?= ^TestReal
E2E_SKIP ?= ^$$
e2e: build engine
	WB_ENGINE=$(ENGINE) $(GO) test -tags $(TAGS) -run '$(E2E_TESTS)' -skip '$(E2E_SKIP)' -count=1 -v -timeout 43m ./cmd/wb

bench: build .venv/bin/duckdb .tools/extensions
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchtime 3x $(call packages_with,Benchmark)
	./docs/bench.sh
	./docs/bench-reports.sh
	./docs/bench-history.sh
	./docs/bench-lake.sh

clean:
	rm -rf bin dist results .tools .venv

# archives and wheels for Linux, with licences, SBOM and sums, into dist/; then their checks, and an installation on bare systems
.PHONY: dist dist-check bare
dist:
	./.ci/dist
# make dist-check CHECK=full: two more minutes for a build with an empty cache
dist-check:
	./.ci/dist-check $(CHECK)
bare:
	./.ci/bare

# make release VERSION=v0.1.0: dates the changelog, commits, tags, and builds into dist/; it pushes nothing
.PHONY: release
release:
	./.ci/release $(RELEASE)

# kill -9 at 100 random moments of a run; most of a kill is waiting, so several go on side by side
.PHONY: crash soak
CRASH_AT_ONCE ?= 3
crash: echarts
	WB_KILLS=100 $(GO) test -tags $(TAGS) -run '^TestKill' -count=1 -parallel $(CRASH_AT_ONCE) ./cmd/wb

# minutes that hold hours of conversation, and a run that is looked at all the time
SOAK ?= 100s
SOAK_TESTS ?= TestSoak|TestLookedAt
soak: echarts
	WB_SOAK=$(SOAK) $(GO) test -tags $(TAGS) -run '$(SOAK_TESTS)' -count=1 -v -timeout 20m ./cmd/wb

# lakes and Parquet: DuckDB's extensions from their packages, a PostgreSQL of Debian's, ClickHouse and Spark as readers,
# and moto for an object store
EXTENSIONS := $(CURDIR)/.tools/extensions
.tools/extensions:
	python3 -m pip download -q --no-deps -d $@.part duckdb-extension-ducklake==1.5.5 duckdb-extension-postgres-scanner==1.5.5 \
	  duckdb-extension-httpfs==1.5.5
	cd $@.part && for w in *.whl; do python3 -m zipfile -e $$w .; done && rm *.whl
	mv $@.part $@
.tools/readers2:
	python3 -m venv $@.part && $@.part/bin/pip install -q chdb==4.4.0 pyspark==4.3.0 'moto[server]==5.1.0'
	mv $@.part $@
LAKE_TESTS := Lake|HistoriesElsewhere|OtherReaders|OlderFolder|NewerCopy
.PHONY: lake
lake: echarts .tools/extensions .tools/readers2
	./.ci/debian default-jre-headless postgresql
	WB_EXTENSION_DIR=$(EXTENSIONS) WB_READERS=$(CURDIR)/.tools/readers2/bin/python \
	  WB_POSTGRES=$$(ls -d /usr/lib/postgresql/*/bin | tail -n 1) \
	  $(GO) test -tags $(TAGS) -run '$(LAKE_TESTS)' -count=1 -v -timeout 15m $(call packages_with,Test[A-Za-z]*($(LAKE_TESTS)))

# what the checks install for themselves, ahead of them
.PHONY: tools
tools: .tools/golangci-lint .venv/notebook .tools/extensions .tools/readers2
