# SPDX-License-Identifier: GPL-2.0-only
"""What the scenarios do with guest/dpmgr_soak.c, and what it must find."""

import collections
import functools
import hashlib
import re
import struct

from steps import PAGE
from vm import Failure

DEBUGFS = "/sys/kernel/debug/dpmgr_soak"
DRIVER = "/sys/bus/platform/drivers/dpmgr_soak"

Buffer = collections.namedtuple("Buffer", "client pfn pages size seed")
Client = collections.namedtuple("Client", "sequence buffers bytes kept_out crc frozen")

MASK = (1 << 64) - 1
GOLDEN_RATIO = 0x61C8864680B583EB


@functools.cache
def digest(size, seed):
    """Of what the driver writes to a buffer."""
    words = []
    for i in range((size + 7) // 8):
        word = ((seed << 32 | i) * GOLDEN_RATIO) & MASK
        words.append(word ^ word >> 29)
    return hashlib.sha256(struct.pack(f"<{len(words)}Q", *words)[:size]).digest()


def number(name):
    return int(name.split("-")[1])


def ours(log):
    return " / ".join(re.findall("^dpmgr_soak: .*", log, re.M))


def load(guest, clients, skip=()):
    """Load the driver, which must find everything as it was handed over."""
    guest.dmesg()
    status, output = guest.try_run(f"modprobe dpmgr_soak clients={clients}"
                                   + (f" skip={','.join(skip)}" if skip else ""))
    log = guest.dmesg()
    if status:
        raise Failure(output.strip() + ": " + ours(log))
    return log


def command(guest, name, text=""):
    """Write TEXT to the driver's file NAME, which must take it."""
    guest.dmesg()
    status, output = guest.try_run(f"echo {text} > {DEBUGFS}/{name}")
    if status:
        raise Failure(f"{name} {text}: {output.strip()}: {ours(guest.dmesg())}")


def buffers(guest):
    """What each client has: a dictionary of sets."""
    found = {name: set() for name in clients(guest)}
    for line in guest.run(f"cat {DEBUGFS}/buffers").splitlines():
        client, *numbers = line.split()
        found[client].add(Buffer(client, *map(int, numbers)))
    return found


def clients(guest):
    found = {}
    for line in guest.run(f"cat {DEBUGFS}/clients").splitlines():
        name, sequence, count, size, kept_out, crc, state = line.split()
        found[name] = Client(int(sequence), int(count), int(size), int(kept_out),
                             int(crc, 16), state == "frozen")
    return found


def bind(guest, name):
    """Let NAME's driver come, which must find everything as it was handed over."""
    guest.dmesg()
    status, output = guest.try_run(f"echo dpmgr_soak.{number(name)} > {DRIVER}/bind")
    if status:
        raise Failure(f"{name}: {output.strip()}: {ours(guest.dmesg())}")


def unbind(guest, name):
    guest.run(f"echo dpmgr_soak.{number(name)} > {DRIVER}/unbind")


def set_parameter(guest, name, clients):
    guest.run(f"echo '{','.join(clients)}' > /sys/module/dpmgr_soak/parameters/{name}")


def pages(some):
    """All page numbers of SOME buffers."""
    return {buffer.pfn + i for buffer in some for i in range(buffer.pages)}


def expect_contents(path, some):
    """SOME buffers are as the driver left them, in the file that is guest memory."""
    with open(path, "rb") as ram:
        for buffer in some:
            ram.seek(buffer.pfn * PAGE)
            held = hashlib.sha256(ram.read(buffer.size)).digest()
            if held != digest(buffer.size, buffer.seed):
                raise Failure(f"{buffer}: its memory is not as it was")


def are_zero(path, some):
    """Have the pages of what were SOME buffers been scrubbed?"""
    with open(path, "rb") as ram:
        for buffer in some:
            ram.seek(buffer.pfn * PAGE)
            if any(ram.read(buffer.pages * PAGE)):
                return False
    return True


def wait_scrubbed(guest, path, some):
    """Wait until that is so."""
    guest.wait_until(lambda: are_zero(path, some), "pages that were freed are scrubbed")
