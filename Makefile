# SPDX-License-Identifier: BSD-3-Clause
#
# The one face of the project: user space is built by Meson, the modules by
# Kbuild, and these targets call them. `make help` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
DEVICE ?= blk
KDIR ?= /lib/modules/$(shell uname -r)/build

MESON = meson
BUILD = build
# BUDGET counts from here: what is installed and built first is part of it.
BEGAN := $(shell date +%s)

.DEFAULT_GOAL = all
.PHONY: all deb user modules check check-debug check-long check-interop bench demo install \
	install-user install-modules uninstall build-arm64 clean help

all: user modules

help:
	@echo "make                 user space and, where kernel headers are at hand, the module"
	@echo "make demo            shows the main job in a throw-away guest (DEVICE=$(DEVICE), NATIVE=1: here)"
	@echo "make check           the tests that every change must pass (BUDGET=MINUTES: what fits)"
	@echo "make check-debug     the guest's tests on the debug kernel (BUDGET=MINUTES: what fits)"
	@echo "make check-long      the full matrices and soaks"
	@echo "make check-interop   against back-ends and front-ends that others wrote"
	@echo "make bench           measurements, into bench/results/"
	@echo "make deb             Debian packages, in build/deb/"
	@echo "make install         everything (DESTDIR, PREFIX)"
	@echo "make uninstall       takes away what make install of this checkout has put there"
	@echo "make clean           what was built; not the cache in ~/.cache/virtio-loopback"

user: $(BUILD)/build.ninja
	@$(MESON) compile -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v $(MESON) >/dev/null || { echo "meson is not installed: run tools/deps build" >&2; exit 1; }
	$(MESON) setup $(BUILD) --prefix=$(PREFIX)

# Programs for the arm64 guest.
build-arm64:
	@[ -e build-arm64/build.ninja ] || tools/setup-arm64 build-arm64
	@$(MESON) compile -C build-arm64

modules:
	@if [ -e $(KDIR)/Makefile ]; then vm/build-module --native $(KDIR); \
	else echo "no kernel headers in $(KDIR): the module is not built (apt install linux-headers-$$(uname -r))"; fi

# One lane more than there are CPUs: what waits for a guest or for a build leaves one idle.
check:
	@tools/deps build vm check arm64
	@$(MAKE) --no-print-directory user build-arm64
	@tests/run check --jobs $$(($$(nproc) + 1)) $(if $(BUDGET),--budget $(BUDGET) --since $(BEGAN))

check-debug:
	@tools/deps build vm debug
	@$(MAKE) --no-print-directory user
	@tests/run debug $(if $(BUDGET),--budget $(BUDGET) --since $(BEGAN))

check-long:
	@tools/deps build vm check debug cloud arm64 model
	@$(MAKE) --no-print-directory user build-arm64
	@tests/run long

check-interop:
	@tools/deps build vm arm64
	@$(MAKE) --no-print-directory user build-arm64
	@tests/run interop

bench:
	@tools/deps build vm bench
	@$(MAKE) --no-print-directory user
	@bench/run

demo:
	@tools/deps build vm
	@$(MAKE) --no-print-directory user
	@NATIVE=$(NATIVE) demo/run $(DEVICE)

# What the packages are checked for: lintian, and that a second build makes the same.
deb:
	@tools/deps build deb
	@tools/deb --check

install: install-user install-modules

install-user: user
	$(MESON) configure $(BUILD) --prefix=$(PREFIX)
	DESTDIR=$(DESTDIR) $(MESON) install -C $(BUILD)

install-modules: modules
	@[ -e $(KDIR)/Makefile ] || { echo "without kernel headers no module is installed (make install-user: the rest alone)" >&2; exit 1; }
	@vm/build-module --native $(KDIR) --install "$(DESTDIR)"

# Meson's log says what was installed. Of a kernel whose headers are gone the module stays.
uninstall:
	@[ -e $(BUILD)/meson-logs/install-log.txt ] || { echo "$(BUILD) has installed nothing" >&2; exit 1; }
	@ninja -C $(BUILD) uninstall
	@[ ! -e $(KDIR)/Makefile ] || vm/build-module --native $(KDIR) --uninstall "$(DESTDIR)"

clean:
	rm -rf $(BUILD) build-*
