# SPDX-License-Identifier: GPL-2.0-only
# One non-recursive Makefile: bpf/X-bpf.c -> bpf object -> skeleton -> build/bin/X.
# 'make help' lists the targets.

BUILD   ?= build
CC      ?= cc
CLANG   ?= clang
BPFTOOL ?= $(shell PATH="$$PATH:/usr/sbin:/sbin" command -v bpftool || echo bpftool)
PKG_CONFIG ?= pkg-config
CFLAGS  ?= -O2 -g

ifneq ($(V),1)
Q   := @
ifeq ($(findstring s,$(firstword -$(MAKEFLAGS))),)
say  = @printf '  %-7s %s\n' '$(1)' '$(2:$(BUILD)/%=%)'
endif
endif

VERSION := $(shell sed -n 's/^\#\# \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)
TOOLS   := packet-monitor proxy

WARN := -Wall -Wextra -Wshadow -Wvla $(if $(WERROR),-Werror)
SAN  := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer)
comma := ,
# The user's CPPFLAGS, CFLAGS and LDFLAGS come last, so that they win.
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' $(WARN) -Wmissing-prototypes \
	      -Iinclude -Ilib -I$(BUILD) $(shell $(PKG_CONFIG) --cflags libbpf 2>/dev/null) $(SAN) \
	      $(CPPFLAGS) $(CFLAGS)
# -target bpf loses the multiarch directory with asm/types.h (Debian, Ubuntu).
MULTIARCH  := $(shell $(CC) -print-multiarch 2>/dev/null || $(CC) -dumpmachine)
BPF_CFLAGS := -std=gnu11 -O2 -g -target bpf -mcpu=v3 -fno-stack-protector $(WARN) -Iinclude \
	      -ffile-prefix-map=$(CURDIR)=. -idirafter /usr/include/$(MULTIARCH)
ifeq ($(STATIC),1)
LIBS := -static $(shell $(PKG_CONFIG) --static --libs libbpf) -lelf -lz
else
LIBS := $(shell $(PKG_CONFIG) --libs libbpf 2>/dev/null || echo -lbpf)
endif

objs = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))

all: $(TOOLS:%=$(BUILD)/bin/%)

$(BUILD)/bin/packet-monitor: $(call objs,packet-monitor) $(call objs,lib)
$(BUILD)/bin/proxy: $(call objs,proxy) $(call objs,lib)

# "gen object" drops DWARF and keeps BTF: no llvm-strip needed.
$(BUILD)/bpf/%.o: bpf/%.c Makefile
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.tmp
	$(Q)$(BPFTOOL) gen object $@ $@.tmp
	$(Q)rm -f $@.tmp

# X-bpf.o -> struct X, with _ for -.
$(BUILD)/%.skel.h: $(BUILD)/bpf/%-bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*) > $@

# The skeletons are order-only for the first build; afterwards the .d files know who needs them.
$(BUILD)/%.o: %.c Makefile CHANGELOG.md | $(TOOLS:%=$(BUILD)/%.skel.h)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/bin/%:
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SAN) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) $(LDLIBS) -o $@

clean:
	$(Q)rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all clean
