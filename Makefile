# SPDX-License-Identifier: GPL-2.0-only
# One non-recursive Makefile: bpf/X-bpf.c -> BPF object -> skeleton -> build/bin/X.
# 'make help' lists the targets and the variables.

BUILD      ?= build
# However it is spelled, the flags that name it stay the same.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
CLANG      ?= clang
PKG_CONFIG ?= pkg-config
BPFTOOL    ?= $(shell PATH="$$(scripts/path.sh)" command -v bpftool || echo bpftool)
CFLAGS     ?= -O2 -g

PREFIX  ?= /usr/local
sbindir ?= $(PREFIX)/sbin
datadir ?= $(PREFIX)/share
mandir  ?= $(datadir)/man
unitdir ?= $(PREFIX)/lib/systemd/system
# Put before the names of the tools where another package has a "proxy".
PROGRAM_PREFIX ?=

# Quiet by default: one line per file made. V=1 shows the commands, make -s nothing at all.
ifeq ($(V),1)
quiet =
else ifneq ($(findstring s,$(firstword -$(MAKEFLAGS))),)
quiet = @
else
quiet = @printf '  %-7s %s\n' '$(1)' '$(@:$(BUILD)/%=%)';
endif

# What --version says. In a checkout that is no release it names the commit.
VERSION := $(shell scripts/version.sh)
TOOLS   := $(patsubst %/main.c,%,$(wildcard */main.c))
SKELS   := $(patsubst bpf/%-bpf.c,$(BUILD)/%.skel.h,$(wildcard bpf/*-bpf.c))

WARN     := -Wall -Wextra -Wshadow -Wvla -Wno-format-zero-length $(if $(WERROR),-Werror)
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN      := $(if $(SANITIZE),$(SANFLAGS))
# The same files come out of every folder.
MAPPED   := -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(abspath $(BUILD))=build
# The user's CPPFLAGS and CFLAGS come last, so that they win.
C_FLAGS  := -std=gnu11 -D_GNU_SOURCE $(WARN) -Wmissing-prototypes $(MAPPED) \
	    -Iinclude -Ilib -I$(BUILD) $(shell $(PKG_CONFIG) --cflags libbpf 2>/dev/null) \
	    $(CPPFLAGS) $(CFLAGS)
# -target bpf loses the folder that asm/types.h is in on Debian and Ubuntu. CC knows it.
ASM_FOLDER := $(shell $(CC) -M -include asm/types.h -x c /dev/null 2>/dev/null | tr ' ' '\n' | \
		      sed -n 's,/asm/types\.h$$,,p')
BPF_FLAGS := -std=gnu11 -O2 -g -target bpf -mcpu=v3 -fno-stack-protector $(WARN) -Iinclude \
	     $(MAPPED) $(ASM_FOLDER:%=-idirafter %)
ifeq ($(STATIC),1)
LIBS := -static $(shell $(PKG_CONFIG) --static --libs libbpf libelf zlib 2>/dev/null)
else
LIBS := $(shell $(PKG_CONFIG) --libs libbpf 2>/dev/null || echo -lbpf)
endif

# The goals that compile something; only they ask for compilers, and note the flags in use.
NO_BUILD := bench clean coverage deb demo deps dist format fuzz help lint soak test uninstall vm-test
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
need = $(if $(shell $(1) --version 2>/dev/null),,\
	 $(error $(firstword $(1)) is missing or does not run: run scripts/install-deps.sh build))
$(foreach program,CC CLANG BPFTOOL PKG_CONFIG,$(call need,$($(program))))
# What older ones make of the programs, verifiers do not accept.
clang_version := $(shell $(CLANG) -dumpversion)
$(if $(filter 1 2 3 4 5 6 7 8 9 10 11 12 13,$(firstword $(subst ., ,$(clang_version)))),\
  $(error $(CLANG) is version $(clang_version): the programs need clang 14 or newer (CLANG=)))
libbpf_version := $(shell $(PKG_CONFIG) --modversion libbpf 2>/dev/null)
$(if $(libbpf_version),,$(error libbpf is missing: run scripts/install-deps.sh build))
$(if $(filter 0.%,$(libbpf_version)),\
  $(error libbpf is version $(libbpf_version): the tools need 1.0 or newer (PKG_CONFIG_PATH=)))
ifeq ($(STATIC),1)
# Debian 13's libelf.a does not link: elfutils 0.192 has left a part of it out.
static_error := $(shell mkdir -p $(BUILD) && \
	echo 'int elf_end(void *elf); int main(void) { return elf_end(0); }' | \
	$(CC) -x c - $(LIBS) -o $(BUILD)/static-probe 2>&1 | \
	sed -n 's/.*\(undefined reference\|cannot find\)/\1/p' | head -n 1)
$(if $(static_error),$(error STATIC=1 does not link with the libraries here: $(static_error). \
  Build on Debian 12, or with elfutils 0.193 or newer (Debian 13 has 0.192)))
endif
# Objects depend on this file, which is rewritten when a flag has changed.
flags := $(strip $(CC) $(C_FLAGS) $(SAN) $(CLANG) $(BPF_FLAGS) $(LIBS) $(LDFLAGS) $(LDLIBS))
ifneq ($(flags),$(strip $(file <$(BUILD)/flags)))
$(shell mkdir -p $(BUILD))
$(file >$(BUILD)/flags,$(flags))
endif
# Another commit changes only what prints the version.
ifneq ($(VERSION),$(strip $(file <$(BUILD)/version)))
$(file >$(BUILD)/version,$(VERSION))
endif
endif
%/options.o: C_FLAGS += -DVERSION='"$(VERSION)"'
$(foreach t,$(TOOLS),$(addprefix $(BUILD)/,$(t) san/$(t) fuzz/$(t)):%=%/options.o): $(BUILD)/version

all: $(TOOLS:%=$(BUILD)/bin/%)

# --- the tools -----------------------------------------------------------------------------------

# $(call objects,PREFIX,FOLDER): the objects of a folder's C files, below $(BUILD)/PREFIX.
objects = $(patsubst %.c,$(BUILD)/$(1)%.o,$(wildcard $(2)/*.c))

define tool_rules
$(BUILD)/bin/$(1): $(call objects,,$(1)) $(call objects,,lib)
	$$(call quiet,LINK)mkdir -p $$(@D) && \
	$$(CC) $$(SAN) $$(CFLAGS) $$(LDFLAGS) $$^ $$(LIBS) $$(LDLIBS) -o $$@
endef
$(foreach tool,$(TOOLS),$(eval $(call tool_rules,$(tool))))

# "gen object" drops DWARF and keeps BTF: no llvm-strip needed.
$(BUILD)/%-bpf.o: %-bpf.c $(BUILD)/flags Makefile
	$(call quiet,BPF)mkdir -p $(@D) && \
	$(CLANG) $(BPF_FLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.tmp && \
	$(BPFTOOL) gen object $@ $@.tmp && rm $@.tmp

# X-bpf.o -> struct X, with _ for -.
$(BUILD)/%.skel.h: $(BUILD)/bpf/%-bpf.o
	$(call quiet,SKEL)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*) > $@

# The skeletons are order-only for the first build; afterwards the .d files know who needs them.
$(BUILD)/%.o: %.c $(BUILD)/flags Makefile | $(SKELS)
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(C_FLAGS) $(SAN) $(INCLUDES) -MMD -MP -c $< -o $@

# --- docs/tutorial.md -----------------------------------------------------------------------------

TUTORIAL := $(BUILD)/docs/tutorial/tutorial

$(TUTORIAL).skel.h: $(TUTORIAL)-bpf.o
	$(call quiet,SKEL)$(BPFTOOL) gen skeleton $< name tutorial > $@
$(TUTORIAL).o: INCLUDES := -I$(dir $(TUTORIAL))
$(TUTORIAL).o: | $(TUTORIAL).skel.h
$(TUTORIAL): $(TUTORIAL).o
	$(call quiet,LINK)$(CC) $(SAN) $(CFLAGS) $(LDFLAGS) $< $(LIBS) $(LDLIBS) -o $@

# --- the tests -----------------------------------------------------------------------------------
# tests/unit/X-test.c and tests/bpf/X-test.c become a program each, linked with lib/ and, if X
# begins with the name of a tool, with all of that tool but main.c. Further C files beside them are
# linked with whichever test uses them. Unit tests, and what they are linked with, are built below
# $(BUILD)/san under ASan and UBSan. tests/e2e/X.c is a program that a script there uses.
# tests/*/X-bpf.c is a BPF object for tests.

$(BUILD)/san/%.o: %.c $(BUILD)/flags Makefile | $(SKELS)
	$(call quiet,CC)mkdir -p $(@D) && \
	$(CC) $(C_FLAGS) $(SANFLAGS) $(INCLUDES) -MMD -MP -c $< -o $@
# A failed check shows the calls that led to it: none of them may have become a jump.
$(BUILD)/tests/% $(BUILD)/san/tests/%: INCLUDES := -Itests -fno-optimize-sibling-calls

test_sources = $(filter-out %-bpf.c,$(wildcard tests/$(1)/*.c))
# $(call archive_rule,ARCHIVE,OBJECTS)
define archive_rule
$(BUILD)/$(strip $(1)).a: $(2)
	$$(call quiet,AR)mkdir -p $$(@D) && rm -f $$@ && $$(AR) rc $$@ $$^
endef
helpers = $(filter-out %-test.o,$(patsubst %.c,$(BUILD)/$(1)%.o,$(call test_sources,$(2))))
$(eval $(call archive_rule,test/lib,$(call objects,,lib)))
$(eval $(call archive_rule,san/lib,$(call objects,san/,lib)))
$(eval $(call archive_rule,test/tests-bpf,$(call helpers,,bpf)))
$(eval $(call archive_rule,san/tests-unit,$(call helpers,san/,unit)))
$(foreach t,$(TOOLS),\
  $(eval $(call archive_rule,test/$(t),$(filter-out %/main.o,$(call objects,,$(t)))))\
  $(eval $(call archive_rule,san/$(t),$(filter-out %/main.o,$(call objects,san/,$(t))))))

# $(call test_rule,unit or bpf,NAME,PREFIX OF THE OBJECT,FOLDER OF THE ARCHIVES,FLAGS)
define test_rule
$(BUILD)/tests/$(1)/$(2): $(BUILD)/$(3)tests/$(1)/$(2).o $(BUILD)/$(4)/tests-$(1).a \
		$(foreach t,$(TOOLS),$(if $(filter $(t)%,$(2)),$(BUILD)/$(4)/$(t).a)) \
		$(BUILD)/$(4)/lib.a
	$$(call quiet,LINK)mkdir -p $$(@D) && \
	$$(CC) $(5) $$(SAN) $$(CFLAGS) $$(LDFLAGS) $$^ $$(LIBS) -lpthread $$(LDLIBS) -o $$@
endef
UNIT_TESTS := $(basename $(notdir $(wildcard tests/unit/*-test.c)))
BPF_TESTS  := $(basename $(notdir $(wildcard tests/bpf/*-test.c)))
E2E_TOOLS  := $(basename $(notdir $(call test_sources,e2e)))
$(foreach t,$(UNIT_TESTS),$(eval $(call test_rule,unit,$(t),san/,san,$$(SANFLAGS))))
$(foreach t,$(BPF_TESTS),$(eval $(call test_rule,bpf,$(t),,test,)))
# It compares the filter with libpcap's.
$(BUILD)/tests/bpf/packet-monitor-filter-test: override LDLIBS += -lpcap

$(E2E_TOOLS:%=$(BUILD)/tests/e2e/%): $(BUILD)/tests/e2e/%: $(BUILD)/tests/e2e/%.o
	$(call quiet,LINK)$(CC) $(SAN) $(CFLAGS) $(LDFLAGS) $< $(LIBS) -lpthread $(LDLIBS) -o $@

# tests/fuzz/X-fuzz.c is a libFuzzer target, linked in the same way. clang builds it,
# whatever CC is.
FUZZFLAGS    := $(SANFLAGS) -g -O1
FUZZ_TARGETS := $(basename $(notdir $(wildcard tests/fuzz/*-fuzz.c)))

$(BUILD)/fuzz/%.o: %.c $(BUILD)/flags Makefile | $(SKELS)
	$(call quiet,CLANG)mkdir -p $(@D) && \
	$(CLANG) $(C_FLAGS) $(FUZZFLAGS) -fsanitize=fuzzer-no-link -Itests -MMD -MP -c $< -o $@

$(eval $(call archive_rule,fuzz/lib,$(call objects,fuzz/,lib)))
$(foreach t,$(TOOLS),\
  $(eval $(call archive_rule,fuzz/$(t),$(filter-out %/main.o,$(call objects,fuzz/,$(t))))))

# $(call fuzz_rule,NAME)
define fuzz_rule
$(BUILD)/tests/fuzz/$(1): $(BUILD)/fuzz/tests/fuzz/$(1).o \
		$(foreach t,$(TOOLS),$(if $(filter $(t)%,$(1)),$(BUILD)/fuzz/$(t).a)) \
		$(BUILD)/fuzz/lib.a
	$$(call quiet,LINK)mkdir -p $$(@D) && \
	$$(CLANG) $$(FUZZFLAGS) -fsanitize=fuzzer $$(LDFLAGS) $$^ $$(LIBS) -lpthread $$(LDLIBS) -o $$@
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_rule,$(t))))

TEST_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*/*-bpf.c))
unit-tests: $(UNIT_TESTS:%=$(BUILD)/tests/unit/%)
fuzz-tests: $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%)
bpf-tests: $(BPF_TESTS:%=$(BUILD)/tests/bpf/%) $(TEST_OBJECTS)
e2e-tests: all bench-programs $(TUTORIAL) $(E2E_TOOLS:%=$(BUILD)/tests/e2e/%) $(TEST_OBJECTS)

skeletons: $(SKELS) $(TUTORIAL).skel.h

# --- the benchmark -------------------------------------------------------------------------------

BENCH_OBJECTS  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard scripts/bench/*-bpf.c))
BENCH_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(filter-out %-bpf.c,$(wildcard scripts/bench/*.c)))

$(BENCH_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o
	$(call quiet,LINK)$(CC) $(SAN) $(CFLAGS) $(LDFLAGS) $< $(LIBS) -lpthread $(LDLIBS) -o $@

bench-programs: $(BENCH_PROGRAMS) $(BENCH_OBJECTS) $(BUILD)/tests/e2e/tcx-attach

# --- for editors ---------------------------------------------------------------------------------

# $(call compile_command,FILE,COMPILER AND FLAGS): an entry of compile_commands.json
define compile_command
,{ "directory": "$(CURDIR)", "file": "$(1)",
  "command": "$(subst ",\",$(strip $(2))) -c $(1)" }

endef
# clangd looks for this file in the folder build/ of its own accord.
$(BUILD)/compile_commands.json: $(SKELS) Makefile
	$(file >$@,[$(foreach f,$(wildcard bpf/*-bpf.c tests/*/*-bpf.c scripts/*/*-bpf.c),\
		$(call compile_command,$(f),$(CLANG) $(BPF_FLAGS)))\
		$(foreach f,$(filter-out %-bpf.c,$(wildcard $(TOOLS:%=%/*.c) lib/*.c tests/*/*.c \
			scripts/*/*.c)),$(call compile_command,$(f),$(CC) $(C_FLAGS) -Itests -DVERSION='"$(VERSION)"'))])
	$(call quiet,JSON)sed -i '1s/^\[ *,/[/' $@

compile_commands.json: $(BUILD)/compile_commands.json

# --- what people call ----------------------------------------------------------------------------

check: unit-tests
	@tests/run.sh --no-build --unit

demo:
	+@scripts/demo.sh

test:
	+@scripts/test.sh

soak:
	+@SOAK=1 tests/run.sh

coverage:
	+@scripts/coverage.sh $(COVERAGE)

fuzz:
	+@tests/run.sh --fuzz

vm-test:
	+@scripts/vm/run.sh $(VM)

bench:
	+@scripts/bench/run.sh $(BENCH)

lint:
	+@scripts/lint.sh

deps:
	@scripts/install-deps.sh build demo test lint

format:
	clang-format -i $(wildcard bpf/*.[ch] docs/*/*.c include/*.h lib/*.[ch] tests/*.h tests/*/*.[ch] \
		scripts/*/*.[ch] $(TOOLS:%=%/*.[ch]))

export DESTDIR PROGRAM_PREFIX RUN
folders = sbindir='$(sbindir)' datadir='$(datadir)' mandir='$(mandir)' unitdir='$(unitdir)'

install: all
	$(call quiet,INSTALL)$(folders) scripts/install.sh

uninstall:
	$(call quiet,REMOVE)$(folders) scripts/install.sh --remove

# --- what is published ---------------------------------------------------------------------------

RELEASE := packet-tools-$(VERSION)

# The committed tree, and its version, which no checkout will tell any more.
dist:
	$(call quiet,TAR)mkdir -p $(BUILD) && printf '%s\n' '$(VERSION)' > $(BUILD)/version && \
	git archive --prefix=$(RELEASE)/ --add-file=$(BUILD)/version -o $(BUILD)/$(RELEASE).tar.gz HEAD

deb: dist
	+@scripts/deb.sh $(BUILD)/$(RELEASE).tar.gz $(BUILD)/deb

clean:
	$(call quiet,CLEAN)rm -rf $(BUILD)

help:
	@printf '%s\n' \
	'make            build $(TOOLS) into $(BUILD)/bin' \
	'make deps       install what building, the demo and the tests need' \
	'make demo       install, build, and show both tools in network namespaces' \
	'make test       install, build, lint and run all tests (root)' \
	'make check      the tests that need no root' \
	'make soak       all tests in their long variants (root, hours)' \
	'make coverage   which lines the tests run (root; COVERAGE="NAME..." for some of them)' \
	'make fuzz       search for inputs that break a parser (FUZZ_SECONDS=60 for each)' \
	'make bench      measure the cost (root, 20 minutes; BENCH="OPTIONS")' \
	'make vm-test    all tests on other kernels, in qemu (an hour each; VM="OPTIONS")' \
	'make lint       formatters, static analysis, man pages' \
	'make format     let clang-format lay out the C files' \
	'make install    into PREFIX (/usr/local), sbindir, datadir, mandir, unitdir; DESTDIR is put before;' \
	'                uninstall; PROGRAM_PREFIX=tc- where another package has a "proxy"' \
	'make dist       a tar archive of this commit in $(BUILD); make deb: a package for Debian from it' \
	'make compile_commands.json  write it to $(BUILD), where clangd finds it' \
	'make clean      remove $(BUILD)' \
	'' \
	'BUILD=DIR       where to build        V=1        show the commands (make -s: show nothing)' \
	'CC=clang        the C compiler        WERROR=1   warnings are errors' \
	'STATIC=1        one file without shared libraries, for other distributions' \
	'SANITIZE=1      with AddressSanitizer and UndefinedBehaviorSanitizer' \
	'CFLAGS, CPPFLAGS, LDFLAGS, LDLIBS, CLANG, BPFTOOL, PKG_CONFIG: as usual'

# make's own variables on the command line reach the scripts through the environment.
export BUILD FUZZ_SECONDS

-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all bench bench-programs bpf-tests check clean compile_commands.json coverage deb demo deps \
	dist e2e-tests format fuzz fuzz-tests help install lint skeletons soak test uninstall unit-tests \
	vm-test
