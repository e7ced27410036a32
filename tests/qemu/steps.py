# SPDX-License-Identifier: GPL-2.0-only
"""What the demo and the scenarios do in the guest with our modules."""

import collections
import re

from vm import Failure

DEBUGFS = "/sys/kernel/debug/dma_pool_mgr"
SYSFS = "/sys/kernel/dma_pool_mgr"
PAGE = 4096

Buffer = collections.namedtuple("Buffer", "client tag size pfn")
Ranges = collections.namedtuple("Ranges", "shared private state reserved")

# Ranges too small to be without a struct page, and whole sections of memory
# (128 MiB), which have none.
SMALL = Ranges("32M@0x22000000", "32M@0x24000000", "1M@0x26000000",
               ["32M$0x22000000", "32M$0x24000000", "1M$0x26000000"])
SECTIONS = Ranges("64M@0x20000000", "0x6000000@0x24000000", "1M@0x2ff00000",
                  ["256M$0x20000000"])


def memmap(ranges):
    """The kernel's command line that reserves RANGES."""
    # From a fifth on, the kernel may put itself there: KASLR keeps clear of four.
    assert len(ranges.reserved) <= 4
    return " ".join("memmap=" + item for item in ranges.reserved)


def load_command(ranges):
    return (f"modprobe dma_pool_mgr shared={ranges.shared} "
            f"private={ranges.private} state={ranges.state}")


def pages_of(item):
    """The page numbers of SIZE@START, a size in MiB."""
    size, start = item.split("M@")
    first = int(start, 16) >> 12
    return range(first, first + (int(size) << 8))


def sample_buffers(log, verb):
    """The buffers that the sample's messages in LOG say it has filled or verified,
    of which there must be as many as it says in the end."""
    buffers = [Buffer(client, tag, int(size), int(pfn, 16))
               for client, tag, size, pfn in re.findall(
                   r'^dpmgr_demo: (\S+) "([^"]*)": (\d+) bytes at pfn (0x[0-9a-f]+): '
                   + verb + "$", log, re.M)]
    total = re.search({"filled": r"^dpmgr_demo: filled (\d+) of \1 buffers$",
                       "verified": r"^dpmgr_demo: verified (\d+) of \1 buffers$"}[verb],
                      log, re.M)
    if not total or int(total[1]) != len(buffers) or not buffers:
        raise Failure(f"the sample did not say that all its buffers are {verb}: "
                      + " / ".join(re.findall("^dpmgr_demo: .*", log, re.M)))
    return buffers


def load_sample(guest, verb):
    """Load the sample, which must fill new buffers or verify restored ones."""
    guest.dmesg()
    status, output = guest.try_run("modprobe dpmgr_demo")
    log = guest.dmesg()
    if status:
        raise Failure(output.strip() + ": "
                      + " / ".join(re.findall("^dpmgr_demo: .*", log, re.M)))
    return sample_buffers(log, verb)


def same_buffers(before, after):
    """Nothing is lost, moved, resized or renamed."""
    if sorted(before) != sorted(after):
        raise Failure(f"filled {sorted(before)}, but restored {sorted(after)}")


def kexec(guest, before_it=None):
    """Go to the next kernel, the way an administrator would; call BEFORE_IT when it is
    loaded."""
    guest.run("dpmgr-kexec --reuse-cmdline --initrd=/boot/initrd /boot/vmlinuz")
    if before_it:
        before_it()
    guest.send("kexec -e")
    guest.wait_ready("the kernel after kexec")


def set_keepalive(guest, client, keep):
    guest.run(f"echo {int(keep)} > {SYSFS}/clients/{client}/keepalive")


def flip(path, offset):
    """Change one byte of guest memory from outside; return what it was."""
    with open(path, "r+b") as ram:
        ram.seek(offset)
        byte = ram.read(1)[0]
        ram.seek(offset)
        ram.write(bytes([byte ^ 0xff]))
    return byte


def free_and_unload(guest):
    guest.run("echo 1 > /sys/module/dpmgr_demo/parameters/free_on_remove")
    guest.run("rmmod dpmgr_demo")
    guest.run("rmmod dma_pool_mgr")
