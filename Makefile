# SPDX-License-Identifier: GPL-2.0-only
#
# The front door. Kbuild is what a kernel build reads; this file only calls
# scripts, each of which fetches what it needs. All that is built lands in build/.

KDIR ?=

.PHONY: all demo check check-static check-host check-kunit check-qemu check-long bench clean help

all:
	+@scripts/build-modules $(if $(KDIR),'$(KDIR)')

demo:
	@scripts/demo

check:
	@scripts/check

check-static:
	@scripts/check-static

check-host:
	@scripts/check-host

check-kunit:
	@scripts/check-kunit

check-qemu:
	@scripts/check-qemu $(T)

check-long:
	@scripts/check-long $(T)

bench:
	@scripts/bench $(P)

clean:
	rm -rf build

help:
	@echo 'make                      build the modules against KDIR (found if unset)'
	@echo 'make demo                 an NVMe disk keeps running over a kexec: in QEMU'
	@echo 'make check                every test; the parts are'
	@echo '  make check-static         sparse, W=1, checkpatch, kernel-doc, shellcheck'
	@echo '  make check-host           the core, and scripts/, in user space'
	@echo '  make check-kunit          KUnit suites under sanitizers, in QEMU'
	@echo '  make check-qemu [T=name]  whole-system scenarios on the stock kernel'
	@echo 'make check-long [T=secs]  fuzzing, mutants, 20 kexecs, 200 kills; not part of check'
	@echo 'make bench [P=parts]        the allocator beside its peers: uml icount smp threads'
	@echo 'make clean                remove build/'
	@echo
	@echo 'Downloads are kept in $${XDG_CACHE_HOME:-~/.cache}/dma_pool_mgr.'
