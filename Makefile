# make demo: from a bare Debian or Ubuntu machine to a small model answering a question.
# make test: from a bare machine to all tests passed.
# Everything else: make help.
.DEFAULT_GOAL := all
.PHONY: all help setup demo model models test test-release test-asan test-tsan test-aarch64 test-neon test-x86 test-models fuzz lint bench install clean

RETORT := build/release/retort
MODEL := smollm2-135m
LARGER := gemma3-270m qwen2.5-coder-0.5b qwen2.5-coder-1.5b
CTEST := ctest -j2 --output-on-failure --no-tests=error
# Left out under qemu, where they take minutes and show nothing of the processor.
EMULATED := -All/Matmul.*scalar*:All/Matmul.*/neon_bf16_a*:All/Matmul.*/neon_dotprod_bf16*:All/Matmul.*/neon_i8mm_bf16*

all: setup build/release/build.ninja ## build the program: build/release/retort
	ninja -C build/release retort

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

setup: ## install the packages that are missing (apt, with sudo when not root)
	@tools/setup.sh

build/%/build.ninja: | setup
	cmake --preset $*

model: all ## get the default model (94 MiB)
	@$(RETORT) pull $(MODEL)

models: model ## get the three larger models (1.8 GiB)
	@for name in $(LARGER); do $(RETORT) pull $$name || exit 1; done

demo: model ## answer a question with the default model
	@tools/demo.sh $(RETORT) $(MODEL)

test: model test-release test-asan test-tsan ## all tests that need no more than the default model

test-release: setup build/release/build.ninja
	ninja -C build/release
	cd build/release && $(CTEST) -LE 'models|slow'

test-asan: setup build/asan/build.ninja ## the same under AddressSanitizer and UndefinedBehaviorSanitizer
	ninja -C build/asan
	cd build/asan && $(CTEST) -LE 'models|slow|model'

test-tsan: setup build/tsan/build.ninja ## what uses threads under ThreadSanitizer
	ninja -C build/tsan base_test runtime_test training_test
	cd build/tsan && $(CTEST) -R '^(base_test|runtime_test|training_test)$$'

test-aarch64: ## 64-bit ARM, cross-compiled, under qemu: processors with matrix products, dot products, neither
	@tools/setup.sh aarch64
	cmake --preset aarch64
	ninja -C build/aarch64
	cd build/aarch64 && QEMU_CPU=max GTEST_FILTER='$(EMULATED)' $(CTEST) -E '^graph_test$$'
	cd build/aarch64 && QEMU_CPU=neoverse-n1 GTEST_FILTER='$(EMULATED)' $(CTEST) -R '^(kernels|models)_test$$'
	cd build/aarch64 && QEMU_CPU=cortex-a53 GTEST_FILTER='$(EMULATED)' $(CTEST) -R '^(kernels|models)_test$$'

test-neon: models ## the kernels of 64-bit ARM compiled for this x86 machine (AVX2), with the four real models
	@tools/setup.sh neon
	cmake --preset neon
	ninja -C build/neon kernels_test graph_test models_test runtime_test training_test reference_test
	cd build/neon && $(CTEST) -R '^(kernels|graph|models|runtime|training)_test$$'
	build/neon/src/runtime/reference_test --gtest_filter='Default/*neon*:Larger/*'

test-x86: setup build/release/build.ninja ## x86 processors without AVX2, under qemu: with SSE4.1, without
	@tools/setup.sh x86
	ninja -C build/release kernels_test models_test
	for cpu in Nehalem Conroe; do \
	  for test in kernels models; do \
	    GTEST_FILTER='$(EMULATED)' qemu-x86_64 -cpu $$cpu build/release/src/$$test/$${test}_test || exit 1; \
	  done; \
	done

test-models: models ## the tests that need the larger models
	ninja -C build/release
	cd build/release && $(CTEST) -L models

fuzz: ## fuzz every parser, FUZZ_SECONDS each (default 60)
	@tools/setup.sh fuzz
	@tools/fuzz.sh $${FUZZ_SECONDS:-60}

lint: ## clang-format and clang-tidy over all sources
	@tools/setup.sh lint
	@tools/lint.sh

bench: all ## speed of the default model beside the machine's limits
	$(RETORT) bench $(MODEL) --roof

install: all ## install the program, the library and its header (PREFIX, default /usr/local)
	ninja -C build/release
	cmake --install build/release --prefix $${PREFIX:-/usr/local}

clean: ## delete everything that was built
	rm -rf build
