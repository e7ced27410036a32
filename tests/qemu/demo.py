# SPDX-License-Identifier: GPL-2.0-only
"""The main job, told as it happens: load, allocate, kexec, restore, verify.

demo.py KERNEL-ROOT GUEST-ROOT BUILD-FOLDER [--corrupt] MODULE...

With --corrupt, one byte of a buffer is changed from outside between the two
kernels: the demo must find it, and fail.
"""

import os
import re
import sys
import textwrap
import time

import initramfs
import steps
import vm

STARTED = time.monotonic()


def tell(text):
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def show(text):
    print(textwrap.indent(text.rstrip(), "            "), flush=True)


def last_save(guest):
    """The log's last line about a save, which the next kernel's dmesg has no more."""
    saves = re.findall(r"dma_pool_mgr: saved generation .* in \d+ us.*",
                       vm.read_log(guest.log))
    if not saves:
        raise vm.Failure("nothing is said of a save")
    return saves[-1]


def story(guest, between_kernels):
    ranges = steps.SMALL
    guest.wait_ready()
    tell("Up: stock kernel " + guest.run("uname -r").strip()
         + ", with three ranges of its memory reserved:")
    show(steps.memmap(ranges))

    tell("Loading the manager on them, with kmod's modprobe:")
    show(steps.load_command(ranges))
    guest.run(steps.load_command(ranges))

    tell("Loading the sample driver: it allocates buffers and fills them.")
    filled = steps.load_sample(guest, "filled")
    for table in ("pools", "clients", "buffers", "state"):
        tell(f"debugfs, {steps.DEBUGFS}/{table}:")
        show(guest.run(f"cat {steps.DEBUGFS}/{table}"))

    tell("Loading the next kernel with dpmgr-kexec, and jumping into it.")
    steps.kexec(guest)
    tell("What the first kernel logged of its reboot notifier, and the time spent there:")
    show(last_save(guest))

    between_kernels(filled)
    tell("Up again: the second kernel. Loading the manager: it finds the saved state.")
    guest.run(steps.load_command(ranges))
    tell("Loading the sample driver: it retrieves its buffers and checks every byte.")
    verified = steps.load_sample(guest, "verified")
    for buffer in verified:
        show(f'{buffer.client} "{buffer.tag}": {buffer.size} bytes at pfn '
             f"{buffer.pfn:#x}: verified")
    steps.same_buffers(filled, verified)
    tell(f"{len(verified)} of {len(filled)} buffers are where they were, "
         "with every byte as it was.")

    tell("Freeing them, unloading both modules, powering off.")
    steps.free_and_unload(guest)
    guest.power_off()


def main():
    kernel_root, guest_root, build, *modules = sys.argv[1:]
    corrupt = modules[0] == "--corrupt"
    if corrupt:
        modules.pop(0)
    folder = os.path.join(build, "demo-corrupt" if corrupt else "demo")
    image = initramfs.build(kernel_root, guest_root, modules, folder)
    log = os.path.join(folder, "console.log")
    ram = os.path.join(folder, "ram") if corrupt else None

    def between_kernels(filled):
        if corrupt:
            victim = filled[0]
            tell(f'Changing the last byte of {victim.client} "{victim.tag}" from outside.')
            steps.flip(ram, (victim.pfn << 12) + victim.size - 1)

    tell("Booting Debian's kernel in QEMU.")
    try:
        with vm.Guest(image, log, steps.memmap(steps.SMALL), ram=ram) as guest:
            story(guest, between_kernels)
    except vm.Failure as failure:
        print(vm.read_log(log))
        print(f"The demo FAILED: {failure}\nThe guest's log is above, and in {log}")
        sys.exit(1)
    finally:
        if corrupt:
            os.remove(ram)
    tell("The demo succeeded.")


main()
