# mvscope: one Makefile.
#
#   make demo       install what is missing, build, explain the sample pictures into demo/
#   make check      install what is missing, build, run every test
#   make            build ./mvscope          make install [DESTDIR=] [PREFIX=/usr/local]
#   make lint       clang-format, clang-tidy, cppcheck
#   make help       the rest
#
# Objects live in build/FLAVOUR, so that switching SANITIZE=, CC= or DEBUG= never needs a clean.

VERSION    := 0.1.0
PREFIX     ?= /usr/local
DESTDIR    ?=
SANITIZE   ?=
DEBUG      ?=
WERROR     ?=
EMBED_MODEL ?= assets/nano.safetensors
EMBED_LABELS ?= assets/imagenet-1k.tsv

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
ifeq ($(origin CC),default)
CC := gcc
endif

comma := ,
FLAVOUR := $(notdir $(CC))$(if $(DEBUG),-debug)$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(COVERAGE),-coverage)$(if $(EMBED_MODEL),,-bare)
BUILD   := build/$(FLAVOUR)

PACKAGES := dnnl cairo pangocairo pangoft2 fontconfig libpng libexif jansson libzip popt nettle zlib
# libdnnl-dev of Debian 12 has no .pc file: it is linked by name below
PC       := $(filter-out dnnl,$(PACKAGES))
PC_FLAGS := $(shell pkg-config --cflags $(PC) 2>/dev/null)
PC_LIBS  := $(shell pkg-config --libs $(PC) 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
OPT  := $(if $(DEBUG),-O0,$(if $(SANITIZE),-O1,-O2)) -g
CPPFLAGS_ALL := -D_GNU_SOURCE -DMV_VERSION='"$(VERSION)"' -Isrc -Iviz -Icmd -Iassets $(PC_FLAGS) $(CPPFLAGS)
CFLAGS_ALL := -std=c11 $(OPT) $(WARN) -pthread -fno-math-errno -ffp-contract=off -fno-omit-frame-pointer \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) $(if $(COVERAGE),--coverage) $(CFLAGS)
LDFLAGS_ALL := -pthread $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(if $(COVERAGE),--coverage) $(LDFLAGS)
LIBS := $(PC_LIBS) -ldnnl -ldl -lm

# --- what is built -----------------------------------------------------------------------------
# Kernels of the CPU device are one source compiled once per instruction set and chosen at run time.
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
KERNEL_FLAGS := -O3 -ffp-contract=fast
ISA_FLAGS_plain  :=
ISA_FLAGS_avx2   := -mavx2 -mfma -mf16c
ISA_FLAGS_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512
ISAS := plain $(if $(filter x86_64,$(ARCH)),avx2 avx512)

SRC_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out src/cpu_kernels.c,$(wildcard src/*.c))) \
	$(foreach i,$(ISAS),$(BUILD)/src/cpu_kernels_$(i).o)
VIZ_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard viz/*.c))
CMD_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard cmd/*.c))
ASSET_OBJS := $(BUILD)/assets/embed.o
LIB := $(BUILD)/libmvscope.a
VIZ := $(BUILD)/libmvviz.a

all: mvscope

mvscope: $(BUILD)/mvscope
	@cp -f $< $@.tmp && mv -f $@.tmp $@

$(BUILD)/mvscope: $(CMD_OBJS) $(VIZ) $(LIB) $(ASSET_OBJS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(LIB): $(SRC_OBJS)
	@rm -f $@ && $(AR) rcs $@ $^
$(VIZ): $(VIZ_OBJS)
	@rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/src/cpu_kernels_%.o: src/cpu_kernels.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(KERNEL_FLAGS) $(ISA_FLAGS_$*) -DMV_ISA=$* -MMD -MP -c -o $@ $<

# Files carried inside the program: the typefaces from their Debian packages, the model if there is one.
FONT_DIRS ?= /usr/share/fonts/opentype/inter* /usr/share/fonts/truetype/inter* /usr/share/fonts/truetype/jetbrains-mono* \
	/usr/share/fonts/opentype/jetbrains-mono* /usr/local/share/fonts
font = $(or $(firstword $(wildcard $(foreach e,otf ttf,$(addsuffix /$(1).$(e),$(FONT_DIRS))))),$(1).missing-install-$(2))
EMBED_INTER_REGULAR  = $(call font,Inter-Regular,fonts-inter)
EMBED_INTER_MEDIUM   = $(call font,Inter-Medium,fonts-inter)
EMBED_INTER_SEMIBOLD = $(call font,Inter-SemiBold,fonts-inter)
EMBED_JETBRAINS_MONO = $(call font,JetBrainsMono-Regular,fonts-jetbrains-mono)
EMBED_FONTS = $(EMBED_INTER_REGULAR) $(EMBED_INTER_MEDIUM) $(EMBED_INTER_SEMIBOLD) $(EMBED_JETBRAINS_MONO)
EMBED_FILES := $(wildcard $(EMBED_MODEL) $(EMBED_LABELS))
EMBED_FLAGS = $(foreach f,INTER_REGULAR INTER_MEDIUM INTER_SEMIBOLD JETBRAINS_MONO,-DMV_FONT_$(f)='"$(EMBED_$(f))"') \
	$(if $(wildcard $(EMBED_MODEL)),-DMV_EMBED_MODEL='"$(EMBED_MODEL)"') \
	$(if $(wildcard $(EMBED_LABELS)),-DMV_EMBED_LABELS='"$(EMBED_LABELS)"')
%.missing-install-fonts-inter %.missing-install-fonts-jetbrains-mono:
	@echo "make: the typeface $(basename $(notdir $@)) was not found in FONT_DIRS: install $(subst .missing-install-,,$(suffix $@))" >&2; exit 1
$(BUILD)/assets/embed.o: assets/embed.S $(EMBED_FONTS) $(EMBED_FILES)
	@mkdir -p $(@D)
	$(CC) $(EMBED_FLAGS) -c -o $@ $<

# Each tests/test_NAME.c is one cmocka program.
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
TEST_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/test_%.c tests/fuzz_%.c tests/bench_%.c,$(wildcard tests/*.c)))
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_OBJS) $(VIZ) $(LIB) $(ASSET_OBJS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

tests: $(TESTS)

clean:
	rm -rf build mvscope

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all tests clean
.SECONDARY:
