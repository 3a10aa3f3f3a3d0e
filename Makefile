# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The one entry. Each step is a script in scripts/ that can be stopped and run
# again at any point and does nothing when its inputs did not change.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Steps that do not depend on each other run side by side.
ifeq ($(filter -j% --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += --jobs=3
endif

# A named pipe would stay behind in /tmp when make is killed.
ifneq ($(filter jobserver-fifo,$(.FEATURES)),)
MAKEFLAGS += --jobserver-style=pipe
endif

# What a recipe runs does not outlive make, however make ends.
tied := setpriv --pdeathsig TERM --

# FILE=, AUDIO=, ONLY=, RUNS=, QUICK=, KERNEL=, MIRROR= reach the scripts by the
# environment.
export FILE AUDIO ONLY RUNS QUICK KERNEL MIRROR MIRROR_SECURITY

.PHONY: help
help:
	@sed -n 's/^#: \?//p' $(firstword $(MAKEFILE_LIST))

#: sgring: a PCI sound card, its driver and its client, in a VM
#:
#:   make run      play a recording through the card and judge what came out
#:                   FILE=song.mp3    another one (WAV, FLAC, Ogg Vorbis or MP3)
#:                   AUDIO=pipewire   to be heard (or pa, alsa, sdl)
#:   make test     all tests; the last line counts them
#:                   ONLY='aplay mmap'  those with one of these in their names
#:   make test-debug  the driver's tests once more on two kernels that look for
#:                 mistakes (lockdep, DMA, page counts, leaks; KASAN); they are built first
#:                   KIND=debug       one of them (or kasan)
#:   make test-device  the device's tests once more, under AddressSanitizer and
#:                 UBSan, and how many of its lines they run, and a minute of QEMU's
#:                 own fuzzer; QEMU is built for each of the two first
#:   make fuzz-device  that fuzzer alone
#:   make bench    what the rings cost, in instructions, beside other memory, and
#:                 what our cpal host does, beside cpal's own
#:                   QUICK=1          few sizes
#:                   ONLY=cpal        parts with this in their names
#:                   RUNS=2           twice, and whether both are equal
#:   make shell    an interactive guest with the card
#:   make check    linters
#:   make doctor   what this machine has and lacks for all this
#:   make clean    remove outputs (programs, driver, results, VM runs)
#:   make distclean  remove all that was built and fetched
#:
#:   scripts/vm --help   your own programs in the guest
#:
#: The first run sets everything up under build/ (a Debian root, a kernel, QEMU,
#: a guest), each part also a target of its own: root, kernel, driver, qemu,
#: guest, selftests, programs, or setup for all; and apps, for the tests.
#:   KERNEL=7.2      a kernel version or series, instead of the newest supported
#:   MIRROR=URL      a Debian archive, instead of this machine's own

.PHONY: setup root kernel driver qemu guest selftests programs apps
setup: driver qemu guest selftests programs
root:
	@$(tied) scripts/root
kernel: root
	@$(tied) env KIND=stock scripts/kernel
driver: kernel
	@$(tied) env KIND=stock scripts/driver
qemu: root
	@$(tied) scripts/qemu
guest: kernel
	@$(tied) env KIND=stock scripts/guest
selftests: kernel
	@$(tied) env KIND=stock scripts/selftests
programs: root
	@$(tied) scripts/programs
# For `make test` alone.
apps: root
	@$(tied) scripts/apps

# What the debug kernels need: D1, and D2 with KASAN.
.PHONY: setup-debug setup-kasan
setup-debug setup-kasan: setup-%: kernel qemu programs
	@$(tied) env KIND=$* scripts/kernel
	@$(tied) env KIND=$* scripts/driver
	@$(tied) env KIND=$* scripts/driver --planted
	@$(tied) env KIND=$* scripts/guest

.PHONY: run test test-debug test-device fuzz-device bench shell
run: setup
	+@$(tied) env SGRING_SETUP=no scripts/run
test: setup apps
	+@$(tied) env SGRING_SETUP=no scripts/test
test-debug: $(addprefix setup-,$(or $(KIND),debug kasan))
	+@$(tied) scripts/test-debug
test-device: qemu programs
	@$(tied) scripts/qemu checked
	+@$(tied) scripts/in-root scripts/checked-device
	+@$(MAKE) fuzz-device
fuzz-device: qemu programs
	@$(tied) scripts/qemu fuzz
	@$(tied) scripts/in-root scripts/fuzz-device
bench: setup
	+@$(tied) env SGRING_SETUP=no scripts/bench
shell: setup
	+@$(tied) env SGRING_SETUP=no scripts/vm --share .

.PHONY: check doctor clean distclean
check: kernel qemu
	@scripts/check
doctor:
	@scripts/doctor
clean:
	@scripts/clean
distclean:
	@scripts/clean --all
