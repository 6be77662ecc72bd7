# make                 build build/weightfs
# make check           unit tests, then tests that mount
# make check SAN=address,undefined      ... the same under sanitizers
# make check SAN=thread
# make check-valgrind  the unit tests under memcheck
# make lint format     clang-tidy and header checks; clang-format in place
# make install         honours DESTDIR, prefix and helperdir; uninstall as well
#
# Every variant builds into a directory of its own; nothing is written beside
# the sources.

NAME    := weightfs
prefix  ?= /usr/local
bindir  ?= $(prefix)/bin
mandir  ?= $(prefix)/share/man
# mount(8) and umount(8) look for their helpers here, whatever the prefix is.  Set
# it to nothing to leave them out, as in a home directory.
helperdir ?= /sbin

comma   := ,
SAN     ?=
BUILD   ?= build$(if $(SAN),/$(subst $(comma),-,$(SAN)))

PROTOC_C     ?= protoc-c
PKG_CONFIG   ?= pkg-config
CLANG_FORMAT ?= clang-format
CLANG_TIDY   ?= clang-tidy
CORE_PKGS    := libprotobuf-c snappy libisal jansson
FUSE_CFLAGS  := $(shell $(PKG_CONFIG) --cflags fuse3) -DFUSE_USE_VERSION=314
CORE_LIBS    := $(shell $(PKG_CONFIG) --libs $(CORE_PKGS)) -pthread
FUSE_LIBS    := $(shell $(PKG_CONFIG) --libs fuse3)
TEST_LIBS    := $(shell $(PKG_CONFIG) --libs cmocka)

CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wundef -Wformat=2 \
	   -Wcast-qual -Wcast-align=strict -Wwrite-strings -Wpointer-arith \
	   -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	   -Wduplicated-cond -Wduplicated-branches -Wlogical-op \
	   -Wnull-dereference -Wimplicit-fallthrough=5 -Wformat-signedness \
	   -Wunused-macros -Wdate-time -Werror=implicit-function-declaration \
	   -Werror=incompatible-pointer-types -Werror=int-conversion \
	   -Wno-unknown-warning-option
# Kept apart from CFLAGS, so that overriding those never loses these.
STD     := -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -I$(BUILD)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# Where vm.mmap_rnd_bits is 32, a program may be put where AddressSanitizer wants its heap.
NOPIE    := $(if $(findstring address,$(SAN)),-no-pie)
COMPILE  = $(CC) $(STD) $(WARN) $(SANFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP
LINK     = $(CC) $(SANFLAGS) $(NOPIE) $(CFLAGS) $(LDFLAGS)

CORE    := $(patsubst %.c,$(BUILD)/%.o,$(wildcard core/*.c))
FS      := $(patsubst %.c,$(BUILD)/%.o,$(wildcard fs/*.c))
PROTO   := $(patsubst %.proto,$(BUILD)/%.pb-c.o,$(wildcard proto/*.proto))
TESTS   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/test_*.c))
HELPERS := $(if $(helperdir),$(addprefix $(helperdir)/,mount.$(NAME) umount.fuse.$(NAME)))
SOURCES := $(wildcard core/*.[ch] fs/*.[ch] tests/*.[ch])

.PHONY: all check check-valgrind lint format format-check install uninstall clean
.SECONDARY:
all: $(BUILD)/$(NAME)

# core knows nothing of FUSE: its objects are compiled without FUSE's include
# path, and every unit test links the whole archive without FUSE's library.
$(BUILD)/libcore.a: $(CORE) $(PROTO)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/$(NAME): $(FS) $(BUILD)/libcore.a
	$(LINK) -o $@ $^ $(CORE_LIBS) $(FUSE_LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/libcore.a
	$(LINK) -o $@ $(filter %.o,$^) -Wl,--whole-archive $(BUILD)/libcore.a \
		-Wl,--no-whole-archive $(CORE_LIBS) $(TEST_LIBS)

# The one file of fs that a unit test needs: it uses nothing of FUSE either.
$(BUILD)/tests/test_options: $(BUILD)/fs/options.o

$(BUILD)/fs/%.o: STD += $(FUSE_CFLAGS)
$(BUILD)/%.o: %.c Makefile | $(PROTO:.o=.h)
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

# Generated code is built with our standard but without our warnings.
$(BUILD)/%.pb-c.o: $(BUILD)/%.pb-c.c
	$(CC) $(STD) -w $(SANFLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/%.pb-c.c $(BUILD)/%.pb-c.h &: %.proto
	@mkdir -p $(@D)
	$(PROTOC_C) --c_out=$(BUILD) $<

# A test that hangs fails, and the last line of its output says which it was.  After a
# failure cmocka would go on from where the test was called: no thread and no child of
# the test may go there, so the program ends.
#
# The sanitizers of gcc 12 need the addresses where they used to be: where vm.mmap_rnd_bits
# is 32 and not 28, one prints a fault of its own without end, the other does not begin.
# Not every container lets setarch do that; -no-pie is enough for the first.
FIXED := $(if $(SAN),$(shell setarch -R true 2>/dev/null && echo setarch -R))
# In memory, where that has room: thousands of small files are made and removed, and a disk
# that others keep busy takes minutes for it.  No test needs 2 MiB.
TMP   := $(shell [ -w /dev/shm ] && df --output=avail /dev/shm | \
	   awk 'NR == 2 && $$1 > 32768 { print "TMPDIR=/dev/shm" }')
RUN   := $(TMP) CMOCKA_TEST_ABORT=1 timeout --verbose --kill-after=10 300 $(FIXED)

check: $(TESTS:%=%.run)
%.run: %
	$(RUN) $<

check-valgrind: $(TESTS:%=%.valgrind)
%.valgrind: %
	$(TMP) valgrind -q --leak-check=full --error-exitcode=99 $<

# Each header must compile alone: it includes what it uses, and no less.
lint: $(PROTO:.o=.h)
	@for h in $(wildcard core/*.h fs/*.h); do \
		echo "#include \"$$h\"" | $(CC) $(STD) $(FUSE_CFLAGS) -xc -fsyntax-only - || exit; \
	done
	$(CLANG_TIDY) --quiet $(filter %.c,$(SOURCES)) -- $(STD) $(FUSE_CFLAGS)

format:
	$(CLANG_FORMAT) -i $(SOURCES)
format-check:
	$(CLANG_FORMAT) --dry-run --Werror $(SOURCES)

install: all
	install -D -m 755 $(BUILD)/$(NAME) $(DESTDIR)$(bindir)/$(NAME)
	install -D -m 644 fs/$(NAME).1 $(DESTDIR)$(mandir)/man1/$(NAME).1
	for name in $(HELPERS:%=$(DESTDIR)%); do \
		install -d $${name%/*} && \
		ln -sf $(bindir)/$(NAME) $$name || exit; \
	done

uninstall:
	rm -f $(DESTDIR)$(bindir)/$(NAME) $(HELPERS:%=$(DESTDIR)%)
	rm -f $(DESTDIR)$(mandir)/man1/$(NAME).1

clean:
	rm -rf build

-include $(shell find $(BUILD)/core $(BUILD)/fs $(BUILD)/tests $(BUILD)/proto \
	-type f -name '*.d' 2>/dev/null)
