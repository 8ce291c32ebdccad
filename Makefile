# Short names for what the presets do. `make help` lists them.
JOBS ?= $(shell nproc)
MODEL ?= models/demo
EXAMPLE := models/demo/ocr/regular/024.png
ARGS ?=
BUILD := build/release
DUAN := $(BUILD)/bin/duan

.PHONY: help configure build all chat test test-interop test-kills asan tsan fuzz format lint check-includes check-isa clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

configure:
	@scripts/setup
	@test -f $(BUILD)/build.ninja || cmake --preset release

build: configure  ## install what is missing, then build the optimised program, build/release/bin/duan
	@cmake --build --preset release -j $(JOBS) --target duan

all: configure  ## the same with the tests and the programs of benchmarks/
	@cmake --build --preset release -j $(JOBS)

chat:  ## build, then talk to the demo model (MODEL=folder for another, ARGS for options); reads a pipe, too
	@$(MAKE) --no-print-directory build </dev/null >&2
	@if [ "$(MODEL)" = models/demo ]; then echo "It reads pictures, too: /image $(EXAMPLE), then 图中写了什么？" >&2; fi
	@$(DUAN) chat $(MODEL) $(ARGS)

test: all  ## build everything, then run all tests
	@ctest --preset release -j 2

asan:  ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/setup
	@test -f build/asan/build.ninja || cmake --preset asan
	@cmake --build --preset asan -j $(JOBS)
	@ctest --preset asan -j 2

tsan:  ## all tests under ThreadSanitizer
	@scripts/setup
	@test -f build/tsan/build.ninja || cmake --preset tsan
	@cmake --build --preset tsan -j $(JOBS)
	@ctest --preset tsan -j 2

test-interop: build  ## what duan writes, read by ONNX Runtime (GenAI), transformers and compressed-tensors from PyPI
	@scripts/setup --dev
	@tests/interop/run $(DUAN) $(WORD)

test-kills: build  ## kills quantization at 50 random moments per method and compares what is left (ARGS=...)
	@tests/endurance/kills.py --duan $(DUAN) $(ARGS)

fuzz:  ## every fuzz target for a minute
	@scripts/setup --dev
	@scripts/fuzz 60

format:  ## clang-format all sources
	@git ls-files '*.cpp' '*.h' '*.inc' | xargs clang-format -i

lint:  ## clang-tidy the sources that differ from HEAD (FILES=... for others, FILES=all for all)
	@scripts/lint $(FILES)

check-includes:  ## layers, file lengths, mirrored tests
	@tools/check_includes.sh

check-isa: all  ## wide registers stay in their kernels
	@tools/check_isa.sh $(BUILD)

clean:  ## remove everything that was built
	rm -rf build
