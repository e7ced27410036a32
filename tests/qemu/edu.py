# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's edu, a device that does real DMA, and drivers for it that are only for these
scenarios: guest/dpmgr_edu.c and guest/dpmgr_stream.c. The host looks on, at the file
that is the guest's memory."""

import base64
import re

import steps
from scenarios import expect, expect_in
from steps import PAGE

# By default the device has 28 address bits.
EDU = ["-device", "edu,dma_mask=0xffffffffffffffff"]
SYSFS = "/sys/bus/pci/drivers/dpmgr_edu/0*"

HALF = PAGE // 2
PATTERN = bytes(1 + i * 7 + (i >> 8) & 0xff for i in range(HALF))

# Of the vTOM alias, where there is one.
BIT = 40


def load_edu(guest, parameters=""):
    """Load the driver, whose DMA must work; return its page's DMA address and page
    number."""
    guest.dmesg()
    guest.run("modprobe dpmgr_edu " + parameters)
    log = guest.dmesg()
    found = re.search(r"^dpmgr_edu .*: dma_addr (0x[0-9a-f]+), pfn (0x[0-9a-f]+): ok$",
                      log, re.M)
    expect(found, "the edu driver did not say that DMA works:\n" + log)
    return int(found[1], 16), int(found[2], 16)


def expect_edu_refused(guest, parameters, rule):
    """Load the driver; its client must be refused for RULE. Return the log."""
    guest.dmesg()
    guest.run("modprobe dpmgr_edu " + parameters)
    log = guest.dmesg()
    guest.run("rmmod dpmgr_edu")
    expect_in(f'^dpmgr_edu .*: dma_pool_mgr: client "edu" refused: .*{rule}.*'
              r" \(-EOPNOTSUPP\)$", log, "the log")
    expect_in("^dpmgr_edu .* failed with error -95$", log, "the log")
    return log


def page_in_guest(guest):
    """The driver's page, as the CPU finds it."""
    return base64.b64decode(guest.run(f"base64 {SYSFS}/page"))


def page_in_file(path, pfn):
    with open(path, "rb") as ram:
        ram.seek(pfn * PAGE)
        return ram.read(PAGE)


# ---- streams -------------------------------------------------------------

STREAM_SYSFS = "/sys/bus/pci/drivers/dpmgr_stream/0*"
# What the driver tries, as (bytes, offset in its memory).
STREAMS = [(1, 0), (1, 4095), (2, 3), (2, 4095), (511, 77), (4096, 0), (4096, 1),
           (4099, 4001), (10000, 513), (65536, 63), (1 << 20, 7)]
PART = range(1000, 1504)
SECRET = b"private-"
PUBLIC = b"to-host-"


def load_streams(guest, choice, parameters=""):
    """Load the driver, whose streams must all work; return the lines about them, the
    page that stays and its part's DMA address."""
    guest.dmesg()
    guest.run("modprobe dpmgr_stream " + parameters)
    log = guest.dmesg()
    tried = re.findall(r"^dpmgr_stream .*: (\d+) bytes at offset (\d+), dma_addr "
                       r"(0x[0-9a-f]+), (\w+): ok$", log, re.M)
    most = int((re.findall(r"most=(\d+)", parameters) or [1 << 20])[0])
    expect([(int(size), int(offset)) for size, offset, _, _ in tried]
           == [stream for stream in STREAMS if stream[0] <= most]
           and {line[3] for line in tried} == {choice}
           and "both directions: ok\n" in log
           and ("table=1" not in parameters
                or "lines around entries of a table: ok\n" in log),
           "not all streams worked:\n" + log)
    found = re.search(r"^dpmgr_stream .*: page (0x[0-9a-f]+), bytes 1000 to 1504 at "
                      r"dma_addr (0x[0-9a-f]+): stays$", log, re.M)
    expect(found, "no page stays:\n" + log)
    return ([int(line[2], 16) for line in tried], int(found[1], 16), int(found[2], 16))


def expect_stream_listed(guest, choice, dma_addr):
    table = guest.run(f"cat {steps.DEBUGFS}/streams")
    expect_in(f"^{choice} +both +{dma_addr:#018x} +{len(PART)} stream$", table,
              "debugfs streams")


def stream_page(guest):
    return base64.b64decode(guest.run(f"base64 {STREAM_SYSFS}/page"))
