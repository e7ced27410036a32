# SPDX-License-Identifier: GPL-2.0-only
"""Runs the benchmarks on the stock kernel in QEMU; leaves their logs in a folder.

guest.py KERNEL-ROOT GUEST-ROOT FOLDER icount|smp MODULE...

icount: virtual time counts instructions, so that the host may be as busy as it
likes. Two boots, to be compared: icount-1.log, icount-2.log. A third forces all DMA
through swiotlb: icount-3.log.

smp: a thread of the host for each virtual CPU. Two CPUs and eight: smp-2.log and
smp-8.log. One, with all DMA forced through swiotlb: smp-1.log.
"""

import concurrent.futures
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "qemu"))

import initramfs    # noqa: E402
import report       # noqa: E402
import vm           # noqa: E402

BOOTS = 4
ATTEMPTS = 3

# The boot in which the kernel forces all DMA through swiotlb.
SWIOTLB = 3


def settle(guest):
    """Wait until a guest is up and as it will stay."""
    guest.wait_ready()
    # The comparison is with allocators that don't zero what they hand out.
    if "heap alloc:off" not in guest.run("dmesg | grep 'mem auto-init'"):
        raise vm.Failure("init_on_alloc=0 is without effect")
    # The first second after a boot is not like the others.
    guest.run("sleep 5")


def measure(guest, run):
    """Run the named benchmarks; return what they print."""
    guest.run("dmesg -c > /dev/null")
    guest.run(f"modprobe dpmgr_bench run={run}")
    log = guest.run("dmesg -c")
    guest.run("rmmod dpmgr_bench dma_pool_mgr")
    return log


def icount_boot(image, folder, number):
    console = os.path.join(folder, f"icount-{number}.console")
    forced = number == SWIOTLB
    with vm.Guest(image, console, "init_on_alloc=0" + " swiotlb=force" * forced, cpus=1,
                  accel="tcg", devices=("-icount", "shift=0,sleep=off")) as guest:
        settle(guest)
        log = measure(guest, "bounce" if forced else "scale,api,flat,replace,stream,regions")
        guest.power_off()
    return log


def icount(image, folder):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        boots = [pool.submit(icount_boot, image, folder, number) for number in (1, 2, SWIOTLB)]
        return {f"icount-{number}": boot.result()
                for number, boot in enumerate(boots, 1)}


def smp_boot(image, folder, cpus, append=""):
    """A guest with a thread for each CPU, up, or None if that has failed in the way
    that QEMU 7.2 now and then fails: the kernel patches its code, and another CPU
    runs the breakpoint that was there for a moment."""
    console = os.path.join(folder, f"smp-{cpus}.console")
    if os.path.exists(console):
        os.remove(console)
    guest = vm.Guest(image, console, "init_on_alloc=0" + append, cpus=cpus,
                     accel="tcg,thread=multi")
    try:
        settle(guest)
        return guest
    except vm.Failure:
        guest.__exit__()
        if not re.search("Oops: int3|int3:", vm.read_log(console)):
            raise
        return None


def smp_run(image, folder, cpus):
    guest = None
    for _ in range(BOOTS):
        guest = guest or smp_boot(image, folder, cpus)
    if not guest:
        raise vm.Failure(f"{BOOTS} boots in a row have failed")
    with guest:
        for _ in range(ATTEMPTS):
            log = measure(guest, "cpus")
            if cpus != 2 or report.machine_scales(report.parse(log)):
                break
        guest.power_off()
    return log


def smp_bounce(image, folder):
    """What bounces take by the clock on the wall."""
    guest = smp_boot(image, folder, 1, " swiotlb=force")
    if not guest:
        raise vm.Failure("the boot with swiotlb has failed")
    with guest:
        log = measure(guest, "bounce")
        guest.power_off()
    return log


def smp(image, folder):
    logs = {f"smp-{cpus}": smp_run(image, folder, cpus) for cpus in (2, 8)}
    logs["smp-1"] = smp_bounce(image, folder)
    return logs


def main():
    kernel_root, guest_root, folder, part, *modules = sys.argv[1:]
    started = time.monotonic()
    print(f"== measuring on {os.path.basename(kernel_root)} in QEMU: {part}",
          file=sys.stderr)
    image = initramfs.build(kernel_root, guest_root, modules,
                            os.path.join(folder, part))
    for name in os.listdir(folder):
        if re.fullmatch(part + r"-\d\.(log|console)", name):
            os.remove(os.path.join(folder, name))
    try:
        logs = {"icount": icount, "smp": smp}[part](image, folder)
    except vm.Failure as failure:
        sys.exit(f"error: {part}: {failure}; see {folder}/{part}-*.console")
    for name, log in logs.items():
        with open(os.path.join(folder, name + ".log"), "w", encoding="utf-8") as out:
            out.write(log)
    print(f"   that took {time.monotonic() - started:.0f} s", file=sys.stderr)


main()
