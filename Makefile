# mvscope: one Makefile.
#
#   make demo       install what is missing, build, explain the sample pictures into demo/
#   make check      install what is missing, build, run the tests (PARTS="unit cli": only these)
#   make check-all  run every test: check, then long, dist, cuda, sanitize, threads, faults, valgrind, kill, fuzz and lint
#   make            build ./mvscope
#   make install    into PREFIX (/usr/local), under DESTDIR if given; make uninstall takes it away
#   make dist       pack the program with its libraries into OUT (build/): a .tar.gz that runs where the C library is as new
#   make lint       clang-format, clang-tidy, cppcheck
#   make bench      speed, beside what it is compared with
#   make fuzz       every fuzzer for FUZZ_SECONDS (600) each (FUZZ="png gif": only these); what they find stays in build/fuzz
#                   make fuzz-coverage prints what their inputs reach, by file; make fuzz-corpora packs the inputs anew
#   make cuda       the GPU plug-in, ./mvscope-cuda.so: needs nvcc 13, and takes cuDNN where it is found
#   make check-cuda the device tests and compute-sanitizer on a GPU (CHECK="ops runs nets memcheck racecheck initcheck");
#                   make card packs the one of them that needs libraries; make bench-cuda its speed, beside PyTorch
#                   (VARIANTS="T L2:32": only these; PYTHON=... that has PyTorch; TORCH_FLAGS=--compile=none)
#   make gallery    draw the pictures of README.md anew, all but eval.png and report-html.png
#   make golden     make the golden files in tests/data anew from GOLDEN=FOLDER of the oracle's outputs
#   make tables     write tests/data/machine_code and counts anew, after a change of the GPU's kernels: needs nvcc, cuobjdump
#   make deps       install what is missing, only that
#   make clean      remove build/ and ./mvscope
#
#   CC=clang  DEBUG=1  SANITIZE=address,undefined  COVERAGE=1  WERROR=1  CFLAGS=... LDFLAGS=...
#   CUDA_ARCHS="80 90"  NVCC=/usr/local/cuda/bin/nvcc  CUDNN=FILE: its cudnn.h; empty: build without it
#   HEIF=: build without libheif, whose headers are used where they are installed: it reads HEIC and AVIF
#   EMBED_MODEL=FILE.safetensors: another model inside the program; EMBED_MODEL= for none
#
#   V=1: show whole commands
#
# Objects live in build/FLAVOUR, so that switching any of these never needs a clean.

VERSION      := 0.1.0
PREFIX       ?= /usr/local
DESTDIR      ?=
CC           := $(if $(filter default,$(origin CC)),gcc,$(CC))
SANITIZE     ?=
DEBUG        ?=
COVERAGE     ?=
WERROR       ?=
FUZZ_SECONDS ?= 600
EMBED_MODEL  ?= assets/nano.safetensors
EMBED_LABELS ?= assets/imagenet-1k.tsv

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

Q   := $(if $(V),,@)
say  = $(if $(V),:,echo "  $(1)")
comma := ,
FLAVOUR := $(notdir $(lastword $(CC)))$(if $(BARE),-bare)$(if $(DEBUG),-debug)$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(COVERAGE),-coverage)
BUILD   := build/$(FLAVOUR)

# libdnnl-dev and libgif-dev have no .pc file in Debian: they are linked by name. BARE=1 builds only what tests and times a
# GPU, with a compiler and the C library alone: such machines often have no packages of ours.
PC       := $(if $(BARE),,cairo pangocairo pangoft2 fontconfig harfbuzz-subset popt libcurl libpng libjpeg libwebp libwebpdemux libtiff-4 \
	jansson nettle zlib libdeflate expat)
# HEIC and AVIF are read where libheif is installed: the build takes its headers, and the program loads it when it meets such
# a picture. HEIF= builds without it.
HEIF     := $(if $(BARE),,$(shell pkg-config --exists libheif 2>/dev/null && echo libheif))
PC_FLAGS := $(if $(BARE),-Itests/bare,$(shell pkg-config --cflags $(PC) $(HEIF) 2>/dev/null) $(if $(HEIF),-DMV_HEIF))
PC_LIBS  := $(if $(BARE),,$(shell pkg-config --libs $(PC) 2>/dev/null))

# gcov's files by GCC, llvm-cov's by clang.
COVERED := $(if $(COVERAGE),$(if $(findstring clang,$(CC)),-fprofile-instr-generate -fcoverage-mapping,--coverage))
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
# What turns an overflow into an end at once, not into somebody's code. glibc's checks need the optimiser, and would hide
# errors from a sanitizer; a level that is asked for (Debian's) stays.
FORTIFY := $(if $(DEBUG)$(SANITIZE)$(findstring _FORTIFY_SOURCE,$(CFLAGS) $(CPPFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
GUARD := $(if $(SANITIZE),,-fstack-protector-strong $(if $(filter x86_64 aarch64,$(ARCH)),-fstack-clash-protection))
GUARD_LINK := -Wl,-z,relro,-z,now,-z,noexecstack
OPT  := $(if $(DEBUG),-O0,$(if $(SANITIZE),-O1,-O3)) -g
CPPFLAGS_ALL := -D_GNU_SOURCE -DMV_VERSION='"$(VERSION)"' -I. $(PC_FLAGS) $(CPPFLAGS)
CFLAGS_ALL := -std=c11 $(OPT) $(WARN) -pthread -fno-math-errno -ffp-contract=off -fno-omit-frame-pointer \
	-ffile-prefix-map=$(CURDIR)=. $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) \
	$(COVERED) $(FORTIFY) $(GUARD) $(CFLAGS)
LDFLAGS_ALL := -pthread -Wl,--as-needed $(GUARD_LINK) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(COVERED) $(LDFLAGS)
LIBS := $(if $(BARE),-ldl -lm,$(PC_LIBS) -lgif -ldnnl -lgomp -lm)

# --- what is built -----------------------------------------------------------------------------
# Kernels of the CPU device are one source compiled once per instruction set and chosen at run time. Fuzzers, which test
# readers and the resampler, have none for AVX-512: with every branch counted, kernels take most of the time of their build.
# Kernels have no stack protector: their arrays on the stack have fixed sizes, and with it a loop over small ones (the step
# size in bf16) takes 2.4 times as long.
FUZZED := $(findstring fuzzer,$(SANITIZE))
KERNEL_FLAGS := $(if $(FUZZED),,-O3) -ffp-contract=fast -fno-stack-protector
ISA_FLAGS_plain  :=
ISA_FLAGS_avx2   := -mavx2 -mfma -mf16c
ISA_FLAGS_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512
ISA_FLAGS_avx512bf16 := $(ISA_FLAGS_avx512) -mavx512bf16
ISAS := plain $(if $(filter x86_64,$(ARCH)),avx2 $(if $(FUZZED),,avx512 avx512bf16))

objects = $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard $(1))))
LEFT_OUT := $(if $(HEIF),,$(wildcard src/picture/heif*.c))
KERNELS := $(filter-out src/kernel/dispatch.c,$(wildcard src/kernel/*.c))
SRC_OBJS := $(filter-out $(patsubst %.c,$(BUILD)/%.o,$(KERNELS) $(LEFT_OUT)),$(call objects,src/*/*.c)) \
	$(foreach i,$(ISAS),$(KERNELS:src/kernel/%.c=$(BUILD)/src/kernel/$i/%.o))
VIZ_OBJS := $(call objects,viz/*/*.c)
CMD_OBJS := $(call objects,cmd/*.c cmd/*/*.c)
ASSET_OBJS := $(BUILD)/assets/embed.o
LIB := $(BUILD)/libmvscope.a
VIZ := $(BUILD)/libmvviz.a
PROGRAM := $(CMD_OBJS) $(VIZ) $(LIB) $(ASSET_OBJS)

all: mvscope

# Compared by content: after another flavour was built, its copy here may be newer than what is wanted now.
mvscope: $(BUILD)/mvscope FORCE
	@cmp -s $< $@ || { cp -f $< $@.tmp && mv -f $@.tmp $@; }

$(BUILD)/mvscope: $(PROGRAM)
	@$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(LIB): $(SRC_OBJS)
	@rm -f $@ && $(AR) rcs $@ $^
$(VIZ): $(VIZ_OBJS)
	@rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D); $(call say,$(notdir $(CC)) $@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

define kernels_for
$(BUILD)/src/kernel/$(1)/%.o: src/kernel/%.c $(BUILD)/flags
	@mkdir -p $$(@D); $$(call say,$$(notdir $$(CC)) $$@)
	$$(Q)$$(CC) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(KERNEL_FLAGS) $$(ISA_FLAGS_$(1)) -DMV_ISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call kernels_for,$i)))
$(BUILD)/cmd/stop.o: CFLAGS_ALL += $(if $(SANITIZE),-DMV_SANITIZED)
$(BUILD)/src/kernel/dispatch.o: CFLAGS_ALL += $(if $(FUZZED),-DMV_NO_AVX512)

# Files carried inside the program: typefaces, pages for browsers, the model if there is one.
FONTS := assets/fonts/Inter-Regular.otf assets/fonts/Inter-Medium.otf assets/fonts/Inter-SemiBold.otf \
	assets/fonts/JetBrainsMono-Regular.ttf
EMBED_FILES := $(wildcard $(EMBED_MODEL) $(EMBED_LABELS))
EMBED_PAGE  := $(addprefix assets/report.,html css js)
EMBED_FLAGS = $(if $(wildcard $(EMBED_MODEL)),-DMV_EMBED_MODEL='"$(EMBED_MODEL)"') \
	$(if $(wildcard $(EMBED_LABELS)),-DMV_EMBED_LABELS='"$(EMBED_LABELS)"')

# Sets the shell variable `missing` to what the build needs and does not find.
HEADERS := $(if $(BARE),,oneapi/dnnl/dnnl.h stb/stb_image.h gif_lib.h $(if $(TESTED),cmocka.h zip.h))
FIND_MISSING = missing=; \
	for c in $(CC) $(if $(BARE),,pkg-config); do type $$c &>/dev/null || missing+=" $$c"; done; \
	for p in $(PC); do pkg-config --exists $$p &>/dev/null || missing+=" $$p"; done; \
	for h in $(HEADERS); do $(CC) -E -x c - <<<"\#include <$$h>" &>/dev/null || missing+=" $$h"; done
missing:
	@$(FIND_MISSING); [ -z "$$missing" ] || echo $$missing

# The flags that the objects of this flavour are compiled with. They change when a library is installed, too; then, and at
# first, one line says what is missing, before the compiler does.
FLAGS := $(strip $(CC) $(CPPFLAGS_ALL) $(filter-out -Werror,$(CFLAGS_ALL)) $(KERNEL_FLAGS) $(LDFLAGS_ALL))
$(BUILD)/flags: export FLAGS := $(FLAGS)
$(BUILD)/flags: FORCE
	@[ "$$(cat $@ 2>/dev/null)" = "$$FLAGS" ] || { \
	$(FIND_MISSING); \
	[ -z "$$missing" ] || { echo "mvscope cannot be built yet, missing:$$missing; \"make deps\" installs them" >&2; exit 1; }; \
	mkdir -p $(@D) && echo "$$FLAGS" >$@; }

$(BUILD)/embed-flags: export FLAGS := $(EMBED_FLAGS)
$(BUILD)/embed-flags: $(BUILD)/flags FORCE
	@[ "$$(cat $@ 2>/dev/null)" = "$$FLAGS" ] || echo "$$FLAGS" >$@
$(BUILD)/assets/embed.o: assets/embed.S $(FONTS) $(EMBED_FILES) $(EMBED_PAGE) $(BUILD)/embed-flags
	@mkdir -p $(@D); $(call say,embed $(EMBED_FILES) and the typefaces)
	$(Q)$(CC) $(EMBED_FLAGS) -c -o $@ $<

# The program without a model, for the tests of what it then says.
$(BUILD)/assets/embed-bare.o: assets/embed.S $(FONTS) $(EMBED_PAGE) $(BUILD)/embed-flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -DMV_EMBED_MODEL=%,$(EMBED_FLAGS)) -c -o $@ $<
$(BUILD)/mvscope-bare: $(CMD_OBJS) $(VIZ) $(LIB) $(BUILD)/assets/embed-bare.o
	@$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# --- tests -------------------------------------------------------------------------------------
# test_NAME.c is one cmocka program, fuzz_NAME.c one fuzzer, bench_NAME.c one benchmark; fault_malloc.c makes memory run
# out, fault_calls.c makes calls to the system fail, fault_cut.c cuts a file that is read; double_hub.c is a server for
# tests/cli; the rest is what they share.
programs = $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard $(1))))
TESTS   := $(filter-out $(if $(SANITIZE),%/test_counts %/test_cost %/test_stop),$(call programs,tests/test_*.c))
FUZZERS := $(call programs,tests/fuzz_*.c)
BENCHES := $(call programs,tests/bench_*.c)
TEST_OBJS := $(filter-out $(BUILD)/tests/test_% $(BUILD)/tests/fuzz_% $(BUILD)/tests/bench_% $(BUILD)/tests/fault_% \
	$(BUILD)/tests/double_%,\
	$(call objects,tests/*.c))

# What tests and times a GPU and needs no library: all there is of a BARE build, linked from these sources alone.
CARD_PROGRAMS := $(addprefix $(BUILD)/tests/,test_device_ops test_fp8 test_runs bench_device bench_ops)
CARD_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/base/*.c src/run/*.c) src/device/null.c src/device/plugin.c src/device/profile.c src/device/yardstick.c \
	src/model/config.c src/model/generated.c src/model/grid.c src/model/layer_name.c src/model/weights.c src/model/weights_end.c \
	$(addprefix tests/,card.c filled.c network.c op_back_cases.c op_back_reference.c op_cases.c op_reference.c op_stage.c op_table.c timing.c))
ifdef BARE
$(CARD_PROGRAMS): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(CARD_OBJS)
	@$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) $(if $(filter $(EMULATED),$@),-lstdc++)
endif

ifndef BARE
$(BUILD)/tests/test_stop: $(BUILD)/cmd/stop.o
$(TESTS) $(BENCHES): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_OBJS) $(VIZ) $(LIB) $(ASSET_OBJS)
	@$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter-out $(LIB),$^) $(LIB) -lcmocka -lzip $(if $(filter $(EMULATED) $(COUNTED),$@),-lstdc++) $(LIBS)
endif

# A server that stands in for the Hugging Face hub, for tests/cli.
DOUBLE := $(BUILD)/tests/double_hub
$(DOUBLE): $(BUILD)/tests/double_hub.o
	@$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# The GPU device's own sources for the CPU: kernels in emulation, doubles of CUDA's libraries below them.
EMULATED := $(addprefix $(BUILD)/tests/,test_backend test_device_faults test_device_ops test_explanations test_fp8 test_gradients test_runs)
CXX := $(if $(findstring clang,$(CC)),clang++,g++)
SIMT_OBJS := $(patsubst cuda/%.cu,$(BUILD)/simt/%.o,$(sort $(wildcard cuda/*.cu))) \
	$(patsubst tests/%.cc,$(BUILD)/simt/%.o,$(sort $(wildcard tests/double_*.cc)))
SIMT_FLAGS := -std=c++17 -DMV_CUDNN -DMV_COLUMN_BYTES=16384 $(if $(DEBUG)$(SANITIZE),-O1,-O2) -g -Wall -Wextra -Wno-unknown-pragmas $(if $(WERROR),-Werror) -I. -Itests/cuda \
	-fPIC -fno-omit-frame-pointer $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) -MMD -MP
$(BUILD)/simt/flags: $(BUILD)/flags FORCE
	@mkdir -p $(@D); [ "$$(cat $@ 2>/dev/null)" = "$(CXX) $(SIMT_FLAGS)" ] || echo "$(CXX) $(SIMT_FLAGS)" >$@
$(BUILD)/simt/%.o: cuda/%.cu $(BUILD)/simt/flags
	@mkdir -p $(@D); $(call say,$(CXX) $@)
	$(Q)$(CXX) -x c++ $(SIMT_FLAGS) -c -o $@ $<
$(BUILD)/simt/%.o: tests/%.cc $(BUILD)/simt/flags
	@mkdir -p $(@D); $(call say,$(CXX) $@)
	$(Q)$(CXX) $(SIMT_FLAGS) -c -o $@ $<
$(EMULATED): $(SIMT_OBJS)

# The same with a counter at every access of memory: the hooks that GCC makes for a race detector, answered by
# tests/simt_count.cc. The optimisations that are off would join or move what a GPU executes apart.
COUNTED := $(addprefix $(BUILD)/tests/,test_counts test_cost)
COUNT_OBJS := $(patsubst cuda/%.cu,$(BUILD)/count/%.o,$(filter-out cuda/library%,$(sort $(wildcard cuda/*.cu)))) \
	$(BUILD)/count/simt_count.o $(BUILD)/count/ledger.o
COUNT_FLAGS := -std=c++17 -O2 -g -Wall -Wextra -Wno-unknown-pragmas $(if $(WERROR),-Werror) -I. -Itests/cuda -DSIMT_COUNT \
	-fno-tree-vectorize -fno-store-merging -fno-crossjumping -fno-optimize-sibling-calls -MMD -MP
$(BUILD)/count/flags: $(BUILD)/flags FORCE
	@mkdir -p $(@D); [ "$$(cat $@ 2>/dev/null)" = "$(COUNT_FLAGS)" ] || echo "$(COUNT_FLAGS)" >$@
$(BUILD)/count/%.o: cuda/%.cu $(BUILD)/count/flags
	@mkdir -p $(@D); $(call say,count $@)
	$(Q)g++ -x c++ $(COUNT_FLAGS) -fsanitize=thread -c -o $@ $<
$(BUILD)/count/%.o: tests/%.cc $(BUILD)/count/flags
	@mkdir -p $(@D); $(call say,count $@)
	$(Q)g++ $(COUNT_FLAGS) -c -o $@ $<
$(COUNTED): $(COUNT_OBJS)

# The same as a plug-in, for tests of the program.
$(BUILD)/simt/%.o: src/base/%.c $(BUILD)/simt/flags
	@mkdir -p $(@D); $(call say,$(notdir $(CC)) $@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -MMD -MP -c -o $@ $<
$(BUILD)/simt/mvscope-cuda.so: $(SIMT_OBJS) $(BUILD)/simt/status.o $(BUILD)/simt/tensor.o
	@$(call say,link $@)
	$(Q)$(CXX) -shared -Wl,-Bsymbolic $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -o $@ $^
# A driver to be found where there is none.
$(BUILD)/simt/libcuda.so.1: $(BUILD)/simt/flags
	@$(call say,link $@)
	$(Q)$(CC) -shared -o $@ -x c /dev/null

# With CC=clang SANITIZE=fuzzer-no-link,address,undefined: libFuzzer's own main joins only here. Fuzzers of what commands
# share have the program's, too, which ends without ending them (tests/fuzz_program.h).
FUZZ_CMD := $(addprefix $(BUILD)/tests/,fuzz_argv fuzz_index_file fuzz_regions fuzz_results fuzz_truth)
$(BUILD)/libmvcmd.a: $(filter-out $(BUILD)/cmd/main.o,$(CMD_OBJS))
	@rm -f $@ && $(AR) rcs $@ $^
$(FUZZ_CMD) $(BUILD)/tests/fuzz_records: $(BUILD)/libmvcmd.a $(VIZ) $(ASSET_OBJS)
$(FUZZERS): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(LIB)
	@$(call say,link $@)
	$(Q)$(CC) $(subst fuzzer-no-link,fuzzer,$(LDFLAGS_ALL)) $(if $(filter $(FUZZ_CMD),$@),-Wl$(comma)--wrap=exit) \
		-o $@ $(filter-out $(LIB),$^) $(LIB) $(LIBS)

# The program with an allocator that fails when told to: by its own calls alone, and (the .so) by those of libraries.
FAULT_WRAPS := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc posix_memalign aligned_alloc strdup strndup)
$(BUILD)/mvscope-fault: $(BUILD)/tests/fault_malloc.o $(PROGRAM)
	@$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(FAULT_WRAPS) -o $@ $^ $(LIBS)
$(BUILD)/fault_malloc.so: tests/fault_malloc.c $(BUILD)/flags
	@$(call say,link $@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -DMV_FAULT_PRELOAD -fPIC -shared -o $@ $< -ldl

$(BUILD)/fault_cut.so: tests/fault_cut.c $(BUILD)/flags
	@$(call say,link $@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -shared -o $@ $< -ldl

tests: $(BUILD)/mvscope $(BUILD)/mvscope-bare $(addprefix $(BUILD)/simt/,mvscope-cuda.so libcuda.so.1) $(DOUBLE) $(filter-out $(COUNTED),$(TESTS)) $(if $(SANITIZE),,$(BENCHES) $(BUILD)/fault_cut.so)
counted: $(COUNTED)
bare: $(CARD_PROGRAMS)
fuzzers: $(FUZZERS)
$(BUILD)/fault_calls.so: tests/fault_calls.c $(BUILD)/flags
	@$(call say,link $@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -shared -o $@ $< -ldl
faults: $(BUILD)/mvscope-fault $(if $(SANITIZE),,$(BUILD)/fault_malloc.so $(BUILD)/fault_calls.so $(DOUBLE))

# --- the GPU plug-in -----------------------------------------------------------------------------
NVCC       ?= $(or $(shell type -P nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
CUDA_HOME  := $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
CUDA_ARCHS ?= 80 90
# cudnn.h: of the toolkit, the system, or the Python package nvidia-cudnn-cu13 of $(PYTHON), which PyTorch brings. The
# package's library has no name without a version.
PYTHON     ?= python3
ifeq ($(origin CUDNN),undefined)
CUDNN      := $(firstword $(wildcard $(addsuffix /cudnn.h,$(CUDA_HOME)/include /usr/include /usr/include/$(shell $(CC) -dumpmachine 2>/dev/null))))
ifeq ($(CUDNN),)
CUDNN      := $(if $(NVCC),$(wildcard $(shell $(PYTHON) -c 'import nvidia.cudnn; print(list(nvidia.cudnn.__path__)[0])' 2>/dev/null)/include/cudnn.h))
endif
endif
CUDNN_LIB  := $(wildcard $(CUDNN:%/include/cudnn.h=%/lib)/libcudnn.so.9)
CUDNN_LINK := $(if $(CUDNN),$(if $(CUDNN_LIB),-L$(dir $(CUDNN_LIB)) -l:libcudnn.so.9 -Xlinker -rpath$(comma)$(dir $(CUDNN_LIB)),-lcudnn))
CUDA_FLAGS := -std=c++17 -O3 -lineinfo $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a)$(comma)code=sm_$(a)) \
	-gencode arch=compute_$(lastword $(CUDA_ARCHS))$(comma)code=compute_$(lastword $(CUDA_ARCHS)) -I. \
	-Xcompiler -fPIC$(comma)-fvisibility=hidden$(comma)-fstack-protector-strong$(comma)-Wall $(if $(WERROR),-Werror all-warnings) $(if $(CUDNN),-DMV_CUDNN -I$(dir $(CUDNN)))
CUDA_OBJS  := $(patsubst cuda/%.cu,build/cuda/%.o,$(sort $(wildcard cuda/*.cu))) build/cuda/status.o build/cuda/tensor.o

build/cuda/flags: FORCE
	@$(if $(CUDNN),,rm -f build/cuda/real_cudnn;) [ -n "$(NVCC)" ] || { echo "the GPU plug-in needs the CUDA Toolkit 13: nvcc was not found; NVCC= names it" >&2; exit 1; }
	@mkdir -p $(@D); [ "$$(cat $@ 2>/dev/null)" = "$(NVCC) $(CUDA_FLAGS)" ] || echo "$(NVCC) $(CUDA_FLAGS)" >$@
build/cuda/%.o: cuda/%.cu build/cuda/flags
	@$(call say,nvcc $@)
	$(Q)$(NVCC) $(CUDA_FLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
build/cuda/%.o: src/base/%.c build/cuda/flags
	@$(call say,$(notdir $(CC)) $@)
	$(Q)$(CC) -D_GNU_SOURCE -std=c11 -O2 -g -fPIC -fvisibility=hidden -fstack-protector-strong $(WARN) -I. -MMD -MP -c -o $@ $<
mvscope-cuda.so: $(CUDA_OBJS)
	@$(call say,link $@)
	$(Q)$(NVCC) -shared -Xlinker -z$(comma)relro$(comma)-z$(comma)now$(comma)-z$(comma)noexecstack -o $@ $^ -L$(CUDA_HOME)/lib64 -lcublasLt $(CUDNN_LINK) -Xlinker -rpath$(comma)$(CUDA_HOME)/lib64
# The doubles that the tests put in the place of CUDA's libraries, against the headers of the real ones.
build/cuda/double_%.o: tests/double_%.cc build/cuda/flags
	@$(call say,$(CXX) $@)
	$(Q)$(CXX) -std=c++17 -Wall -Wextra $(if $(WERROR),-Werror) -DDOUBLE_AGAINST_NVIDIA -I. -I$(CUDA_HOME)/include $(if $(CUDNN),-I$(dir $(CUDNN))) -MMD -MP -c -o $@ $<
# Our graphs against the real cuDNN, which needs no card for that.
build/cuda/real_cudnn: tests/real_cudnn.cc build/cuda/tensor.o build/cuda/status.o build/cuda/flags
	@$(call say,nvcc $@)
	$(Q)$(NVCC) -x cu $(CUDA_FLAGS) -MMD -MP -MF $@.d -c -o $@.o $<
	$(Q)$(NVCC) -o $@ $@.o build/cuda/tensor.o build/cuda/status.o $(CUDNN_LINK) -Xlinker -rpath$(comma)$(CUDA_HOME)/lib64
cuda: mvscope-cuda.so build/cuda/double_cuda.o build/cuda/double_cublaslt.o $(if $(CUDNN),build/cuda/double_cudnn.o build/cuda/real_cudnn)
	@echo "mvscope-cuda.so: $$($(NVCC) --version | sed -n 's/.*release \([0-9.]*\).*/CUDA \1/p'), $(if $(CUDNN),cuDNN $$(sed -nE \
		's/#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) //p' $(dir $(CUDNN))cudnn_version.h | paste -sd.),without cuDNN: convolutions are slower; CUDNN= names its cudnn.h)"

# --- what is typed -----------------------------------------------------------------------------
# What was installed is seen by the next make only: these three start one.
NEXT = $(MAKE) --no-print-directory
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(nproc))

deps:
	@.ci/deps build test

demo:
	@.ci/deps build
	@+$(NEXT) $(JOBS) mvscope
	@+$(NEXT) demo-pages

demo-pages:
	@mkdir -p demo
	./mvscope classify --explain -o demo assets/samples/*.jpg
	@for f in assets/samples/*.jpg; do n=$${f##*/}; set -- attention -o demo/$${n%.*}-attention.png $$f; \
		echo "./mvscope $$*"; ./mvscope "$$@" || exit 1; done
	@echo "The pages are in demo/"

check:
	@.ci/deps build test
	@+tests/run $(PARTS)

check-all:
	@.ci/deps build test lint
	@+tests/run all

# On a GPU with nvcc and gcc; nothing else is needed (tests/run_card.sh tells the parts).
CHECK ?= ops runs nets memcheck
BARE_BUILD := build/$(notdir $(lastword $(CC)))-bare
check-cuda: mvscope-cuda.so
	@+$(NEXT) BARE=1 $(JOBS) bare
	@CUDA_HOME=$(CUDA_HOME) tests/run_card.sh $(CURDIR)/mvscope-cuda.so $(BARE_BUILD) $(CHECK)

# The device's test that needs libraries, packed with them for a machine whose C and C++ libraries are as new.
CARD_TEST := $(addprefix $(BUILD)/tests/,test_backend.o card.o golden.o network.o network_cpu.o op_reference.o)
card: $(CARD_TEST) $(SIMT_OBJS) $(LIB)
	@rm -rf build/card build/card.tar.gz && mkdir -p build/card
	$(Q)$(CC) $(LDFLAGS_ALL) -s -Wl,--disable-new-dtags,-rpath,'$$ORIGIN' -o build/card/test_backend $^ -lcmocka -lstdc++ $(LIBS)
	@for lib in $$(ldd build/card/test_backend | awk '$$2 == "=>" { print $$3 }'); do \
		case $${lib##*/} in libc.so.*|libm.so.*|libstdc++.so.*|libgcc_s.so.*) ;; *) cp -L $$lib build/card/ || exit 1 ;; esac; done
	@tar -C build -czf build/card.tar.gz card
	@echo "build/card.tar.gz: $$(du -sh build/card.tar.gz | cut -f1), for check-cuda in a clone on another machine"

# Ours, PyTorch's, ours again; all of it in build/bench-cuda.json. By itself some minutes: VARIANTS="T L2:32 B:1:bf16",
# TORCH_FLAGS="--compile T --seconds 10" and OPS="T:128 L2:128", the operations one by one, ask for more.
OPS    ?= T:128 T:1
bench-cuda: export MVSCOPE_BENCH_JSON := build/bench-cuda.jsonl
bench-cuda: export MVSCOPE_BENCH_LOGITS := build/bench-cuda
bench-cuda: export MVSCOPE_COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)
bench-cuda: mvscope-cuda.so
	@+$(NEXT) BARE=1 $(JOBS) bare
	@rm -rf build/bench-cuda build/bench-cuda.json* && mkdir -p build/bench-cuda
	$(BARE_BUILD)/tests/bench_device $(CURDIR)/mvscope-cuda.so $(VARIANTS)
	$(BARE_BUILD)/tests/bench_ops $(CURDIR)/mvscope-cuda.so $(OPS)
	@type $(PYTHON) &>/dev/null || { echo "no Python here: ours alone, in build/bench-cuda.jsonl"; exit 0; }; set -e; \
	$(PYTHON) tests/bench_torch.py --logits build/bench-cuda --beside build/bench-cuda.jsonl --json build/bench-cuda.json \
		$(TORCH_FLAGS) $(VARIANTS); \
	echo "Ours again, as the clocks may have changed:"; \
	MVSCOPE_BENCH_JSON=build/bench-cuda.jsonl $(BARE_BUILD)/tests/bench_device $(CURDIR)/mvscope-cuda.so $(or $(VARIANTS),T:128 T:1 B:128)

# Where a pass goes, kernel by kernel, on a GPU: what CUPTI tells (tests/bare/profile.c).
PROFILE ?= T:128 T:1
profile-cuda: mvscope-cuda.so build/cuda/profile.so
	@+$(NEXT) BARE=1 $(JOBS) bare
	@for v in $(PROFILE); do MVSCOPE_BENCH_SECONDS=0.2 CUDA_INJECTION64_PATH=$(CURDIR)/build/cuda/profile.so \
		$(BARE_BUILD)/tests/bench_device $(CURDIR)/mvscope-cuda.so $$v || exit 1; done
build/cuda/profile.so: tests/bare/profile.c build/cuda/flags
	@$(call say,$(notdir $(CC)) $@)
	$(Q)$(CC) -D_GNU_SOURCE -std=c11 -O2 -g -fPIC $(WARN) -isystem $(CUDA_HOME)/include -isystem $(CUDA_HOME)/extras/CUPTI/include -shared -o $@ $< \
		-L$(CUDA_HOME)/lib64 -L$(CUDA_HOME)/extras/CUPTI/lib64 -lcupti -lstdc++ -Wl,-rpath,$(CUDA_HOME)/lib64:$(CUDA_HOME)/extras/CUPTI/lib64

# The loops, the steps around the network, the network beside its floor; then what they replace, where Python has it.
bench: $(filter-out %/bench_device %/bench_ops,$(BENCHES)) $(BUILD)/mvscope
	@for b in $(filter %/bench_kernels %/bench_model %/bench_gradients %/bench_pictures,$^); do echo "== $${b##*/}"; $$b || exit 1; done
	@echo "== beside"; ! type $(PYTHON) &>/dev/null || $(PYTHON) tests/bench_beside.py $(BUILD)

# Each picture and the command that its caption names.
gallery: export PATH := $(CURDIR):$(PATH)
gallery: mvscope
	@cd assets/readme && cp ../samples/*.jpg . && trap 'rm -f *.jpg' EXIT && set -ex && \
	mvscope classify --explain -q -o classify.png parachute.jpg >/dev/null && \
	mvscope attention --level 3 -q -o attention.png church.jpg >/dev/null && \
	mvscope attention --level 2 --block 5 --head all -q --width 1200 -o heads.png church.jpg >/dev/null && \
	mvscope explain --overlay overlay.png -q church.jpg >/dev/null && \
	mvscope explain --method cam,occlusion,rise:n=2000 --faith -q -o explain.png church.jpg >/dev/null && \
	mvscope mixer --level 3 --width 1200 -q -o mixer.png church.jpg >/dev/null && \
	mvscope mixer --level 2 --block 0 --animate scan.gif -q -o - church.jpg >/dev/null && \
	mvscope ablate --sweep heads,blocks,mixers -q -o ablate.png church.jpg >/dev/null && \
	mvscope compare --class church --with-class 'golf ball' --width 1200 -q -o compare.png church.jpg >/dev/null && \
	mvscope report --zoom 0.9 -q -o report.png church.jpg >/dev/null

# What kernels were compiled to and what they move, after a change that is meant.
tables: cuda $(BUILD)/tests/test_counts
	tests/run_machine_code.sh --write
	MVSCOPE_COUNTS=tests/data/counts $(BUILD)/tests/test_counts

golden:
	@[ -d "$(GOLDEN)" ] || { echo "make golden: GOLDEN=FOLDER must name the folder of the oracle's outputs" >&2; exit 1; }
	python3 tests/golden.py $(GOLDEN)

fuzz:
	@.ci/deps build test
	@+FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run fuzz

FUZZ_BUILD = $(NEXT) CC=clang SANITIZE=fuzzer-no-link$(1) $(JOBS) fuzzers
fuzz-coverage:
	@+$(call FUZZ_BUILD, COVERAGE=1)
	@tests/run_fuzz.sh build/clang-fuzzer-no-link-coverage coverage
fuzz-corpora:
	@+$(call FUZZ_BUILD,$(comma)address$(comma)undefined)
	@tests/run_fuzz.sh build/clang-fuzzer-no-link-address-undefined corpora

LINTED := $(sort $(wildcard src/*/*.[ch] viz/*/*.[ch] cmd/*.[ch] cmd/*/*.[ch] tests/*.[ch] tests/bare/*.h tests/*.cc assets/*.h cuda/*.cu cuda/*.h))
lint:
	@.ci/deps build lint
	@+$(NEXT) -k lint-format lint-tidy lint-cppcheck

lint-format:
	@echo clang-format
	$(Q)clang-format --dry-run -Werror $(LINTED) tests/bare/*.c
# Left out: the file that is stb_image, whose memory for 16-bit PNM, which it is not given, the analyzer follows.
lint-tidy:
	@echo clang-tidy
	$(Q)printf '%s\n' $(filter-out src/picture/stb.c,$(filter %.c,$(LINTED))) | \
		xargs -P$$(nproc) -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- \
		$(CPPFLAGS_ALL) -std=c11 $(WARN) -DMV_ISA=plain 2> >(grep -vE '^[0-9]+ warnings? generated' >&2)
# Left out: two symbols of one asset are subtracted; conditions that hold for other reasons than cppcheck sees.
lint-cppcheck:
	@echo cppcheck
	$(Q)cppcheck --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr -j$$(nproc) \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		--suppress=comparePointers --suppress=uninitvar \
		--suppress=arrayIndexOutOfBoundsCond \
		-D_GNU_SOURCE -I. $(filter %.c,$(LINTED))

# The program that finds its libraries beside it. DT_RPATH, unlike DT_RUNPATH, also holds for the libraries' own libraries.
$(BUILD)/mvscope-dist: $(PROGRAM)
	@$(call say,link $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/../lib' -o $@ $^ $(LIBS)

OUT ?= build
dist: mvscope $(BUILD)/mvscope-dist
	@.ci/dist $(BUILD)/mvscope-dist $(OUT)

# --- installation ------------------------------------------------------------------------------
BINDIR  := $(DESTDIR)$(PREFIX)/bin
DATADIR := $(DESTDIR)$(PREFIX)/share
MAN     := $(wildcard man/*.[1-8])
DOCS    := LICENSE README.md CHANGELOG.md SECURITY.md $(wildcard assets/*.md) assets/fonts/OFL.txt

install: mvscope
	install -d $(BINDIR) $(DATADIR)/bash-completion/completions $(DATADIR)/zsh/site-functions \
		$(DATADIR)/fish/vendor_completions.d $(DATADIR)/doc/mvscope
	install -m 755 mvscope $(BINDIR)/mvscope
	[ ! -e mvscope-cuda.so ] || install -D -m 755 mvscope-cuda.so $(DESTDIR)$(PREFIX)/lib/mvscope/mvscope-cuda.so
	./mvscope completion bash >$(DATADIR)/bash-completion/completions/mvscope
	./mvscope completion zsh >$(DATADIR)/zsh/site-functions/_mvscope
	./mvscope completion fish >$(DATADIR)/fish/vendor_completions.d/mvscope.fish
	install -m 644 $(DOCS) $(DATADIR)/doc/mvscope
	for f in $(MAN); do install -D -m 644 $$f $(DATADIR)/man/man$${f##*.}/$${f##*/} || exit 1; done

uninstall:
	rm -f $(BINDIR)/mvscope $(DATADIR)/bash-completion/completions/mvscope $(DATADIR)/zsh/site-functions/_mvscope \
		$(DATADIR)/fish/vendor_completions.d/mvscope.fish
	rm -f $(foreach f,$(MAN),$(DATADIR)/man/man$(subst .,,$(suffix $(f)))/$(notdir $(f)))
	rm -rf $(DATADIR)/doc/mvscope $(DESTDIR)$(PREFIX)/lib/mvscope

clean:
	rm -rf build mvscope mvscope-cuda.so

help:
	@sed -n '/^#   make/s/^#   //p; /^#   [A-Z][A-Z_]*=/s/^#   //p' Makefile

FORCE:
-include $(shell find $(BUILD) build/cuda -name '*.d' 2>/dev/null)
.PHONY: all missing tables dist gallery cuda bare card check-cuda bench-cuda profile-cuda tests counted fuzzers faults deps demo demo-pages check check-all bench golden fuzz fuzz-coverage fuzz-corpora lint lint-format lint-tidy lint-cppcheck install uninstall clean help FORCE
.SECONDARY:
