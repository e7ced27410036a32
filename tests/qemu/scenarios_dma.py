# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios with a device that does real DMA, QEMU's edu, and a driver for it that
is only for them: guest/dpmgr_edu.c. The host looks on, at the file that is the
guest's memory."""

import base64
import re

import steps
from scenarios import (ERRORS, INVALID, expect, expect_in, expect_nothing_claimed,
                       expect_refused, mapped, ours, scenario)
from steps import PAGE, SMALL, pages_of

# By default the device has 28 address bits.
EDU = ["-device", "edu,dma_mask=0xffffffffffffffff"]
SYSFS = "/sys/bus/pci/drivers/dpmgr_edu/0*"

HALF = PAGE // 2
PATTERN = bytes(1 + i * 7 + (i >> 8) & 0xff for i in range(HALF))


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
    """Load the driver; its client must be refused for RULE."""
    guest.dmesg()
    guest.run("modprobe dpmgr_edu " + parameters)
    log = guest.dmesg()
    guest.run("rmmod dpmgr_edu")
    expect_in(f'^dpmgr_edu .*: dma_pool_mgr: client "edu" refused: .*{rule}.*'
              r" \(-EOPNOTSUPP\)$", log, "the log")
    expect_in("^dpmgr_edu .* failed with error -95$", log, "the log")


def page_in_guest(guest):
    """The driver's page, as the CPU finds it."""
    return base64.b64decode(guest.run(f"base64 {SYSFS}/page"))


def page_in_file(path, pfn):
    with open(path, "rb") as ram:
        ram.seek(pfn * PAGE)
        return ram.read(PAGE)


# ---- shared memory at another address ------------------------------------

BIT = 40


@scenario
def vtom(test):
    ram = test.ram()
    with test.boot(steps.memmap(SMALL), ram=ram, alias_bit=BIT, devices=EDU) as guest:
        for what, bit, rule in (
                ("inside a range", 29, f"falls inside shared={SMALL.shared}, "),
                ("outside the address width", 46, "outside the address width; ")):
            with test.case(f"a vTOM bit {what} is refused, and the log says why"):
                log = ours(expect_refused(
                    guest, steps.load_command(SMALL) + f" vtom_bit={bit}", INVALID,
                    ERRORS))
                expect(len(log) == 1
                       and log[0].startswith(f"dma_pool_mgr: vtom_bit={bit}: {rule}"),
                       f"the log says {log}")
                expect_nothing_claimed(guest)

        guest.run(steps.load_command(SMALL) + f" vtom_bit={BIT}")
        with test.case("the CPU's mapping of the shared pool is at its address with the "
                       "bit, that of the private pool and the state region is not"):
            phys = re.findall("phys=(0x[0-9a-f]+)", mapped(guest))
            starts = [int(item.split("@")[1], 16) for item in SMALL[:3]]
            starts[0] |= 1 << BIT
            for start in starts:
                expect(f"{start:#018x}" in phys, f"{start:#x} is not among {phys}")

        dma_addr, pfn = load_edu(guest)
        with test.case("a shared buffer's DMA address has the bit, and there the "
                       "device's DMA finds what the CPU wrote, and the CPU what the "
                       "device wrote"):
            expect(pfn in pages_of(SMALL.shared),
                   f"page {pfn:#x} is not in the shared pool")
            expect(dma_addr == pfn * PAGE | 1 << BIT,
                   f"page {pfn:#x} has the DMA address {dma_addr:#x}")
        with test.case("the host finds what both wrote at the address without the bit"):
            expect(page_in_file(ram, pfn) == 2 * PATTERN, "it finds something else")
        with test.case("what the host changes there, CPU and device see"):
            byte = steps.flip(ram, pfn * PAGE + 100) ^ 0xff
            guest.run(f"echo 1 | tee {SYSFS}/copy")
            page = page_in_guest(guest)
            for offset in (100, HALF + 100):
                expect(page[offset] == byte,
                       f"byte {offset} is {page[offset]:#x}, not {byte:#x}")
            expect(page_in_file(ram, pfn) == page, "guest and host disagree")
        guest.run("rmmod dpmgr_edu")

        for what, parameters in (("of the pool", "private=1 persistent=1"),
                                 ("of locked pages", "private=1")):
            with test.case(f"a private buffer {what} has a DMA address without the bit, "
                           "and DMA works"):
                dma_addr, pfn = load_edu(guest, parameters)
                expect((pfn in pages_of(SMALL.private)) == ("persistent" in parameters),
                       f"page {pfn:#x} is from elsewhere")
                expect(dma_addr == pfn * PAGE,
                       f"page {pfn:#x} has the DMA address {dma_addr:#x}")
                guest.run("rmmod dpmgr_edu")
        with test.case("a device whose DMA mask ends below the bit is refused a shared "
                       "client, and the log names the mask; a private one it gets"):
            expect_edu_refused(guest, "mask_bits=40", "lies above the device's DMA mask")
            load_edu(guest, "mask_bits=40 private=1 persistent=1")
            guest.run("rmmod dpmgr_edu")
        with test.case("a device whose DMA mask just has the bit gets one"):
            load_edu(guest, "mask_bits=41")
            guest.run("rmmod dpmgr_edu")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()


# ---- behind an IOMMU -----------------------------------------------------


def iommu_domain(guest):
    """The type of the domain that edu is in."""
    device = guest.run("grep -l 0x11e8 /sys/bus/pci/devices/*/device").strip()
    return guest.run(f"cat {device.removesuffix('device')}iommu_group/type").strip()


@scenario
def iommu(test):
    devices = ["-device", "intel-iommu", *EDU]
    append = steps.memmap(SMALL) + " intel_iommu=on"
    with test.boot(append, devices=devices) as guest:
        with test.case("a device behind a translating IOMMU is refused, and the log "
                       "names the domain"):
            expect(iommu_domain(guest).startswith("DMA"), "the IOMMU doesn't translate")
            guest.run(steps.load_command(SMALL))
            for parameters in ("", "private=1 persistent=1", "private=1"):
                expect_edu_refused(guest, parameters,
                                   "the device is in a translating IOMMU domain")
        guest.power_off()
    with test.boot(append + " iommu=pt", devices=devices) as guest:
        with test.case("behind an IOMMU that passes it through, its DMA works"):
            expect(iommu_domain(guest) == "identity", "the IOMMU doesn't pass through")
            guest.run(steps.load_command(SMALL))
            for parameters in ("", "private=1 persistent=1", "private=1"):
                dma_addr, pfn = load_edu(guest, parameters)
                expect(dma_addr == pfn * PAGE,
                       f"page {pfn:#x} has the DMA address {dma_addr:#x}")
                guest.run("rmmod dpmgr_edu")
        guest.power_off()


# ---- streams -------------------------------------------------------------

STREAM_SYSFS = "/sys/bus/pci/drivers/dpmgr_stream/0*"
STREAM_SECONDS = 150
# What the driver tries, as (bytes, offset in its memory).
STREAMS = [(1, 0), (1, 4095), (2, 3), (2, 4095), (511, 77), (4096, 0), (4096, 1),
           (4099, 4001), (10000, 513), (65536, 63), (1 << 20, 7)]
PART = range(1000, 1504)
SECRET = b"private-"
PUBLIC = b"to-host-"


def load_streams(guest, choice):
    """Load the driver, whose streams must all work; return the lines about them, the
    page that stays and its part's DMA address."""
    guest.dmesg()
    guest.run("modprobe dpmgr_stream", STREAM_SECONDS)
    log = guest.dmesg()
    tried = re.findall(r"^dpmgr_stream .*: (\d+) bytes at offset (\d+), dma_addr "
                       r"(0x[0-9a-f]+), (\w+): ok$", log, re.M)
    expect([(int(size), int(offset)) for size, offset, _, _ in tried] == STREAMS
           and {line[3] for line in tried} == {choice}
           and "both directions: ok\n" in log, "not all streams worked:\n" + log)
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


def expect_bounces(test, guest, ram, bit, what):
    """WHAT: the platform. The streams of edu bounce, and the host sees what it may."""
    bias = 1 << bit if bit else 0
    with test.case(f"{what}: edu moves the bytes of bounced streams, 1 to 1 MiB, at odd "
                   "offsets, both ways, and no others change"):
        addresses, _, part = load_streams(guest, "bounced")
    with test.case(f"{what}: their addresses are the shared pool's, and debugfs says that "
                   "they bounce"):
        for address in addresses + [part]:
            expect(address & bias == bias
                   and (address & ~bias) >> 12 in pages_of(SMALL.shared),
                   f"{address:#x} is not the shared pool's")
        expect_stream_listed(guest, "bounced", part)
    with test.case(f"{what}: the host finds the mapped bytes there, at that place in a "
                   "page, and nowhere in the pool a byte of what is private"):
        pages = pages_of(SMALL.shared)
        with open(ram, "rb") as file:
            file.seek(pages.start * PAGE)
            pool = file.read(len(pages) * PAGE)
        start = (part & ~bias) - pages.start * PAGE
        expect(start % PAGE == PART.start, f"the bounce is at {part:#x}")
        expect(pool[start:start + len(PART)] == PUBLIC * (len(PART) // len(PUBLIC)),
               "the host finds something else")
        expect(SECRET not in pool, "the host finds private bytes in the pool")
        expect(not any(pool[:start]) and not any(pool[start + len(PART):]),
               "there is more in the pool than what is mapped")
    with test.case(f"{what}: what the host changes arrives with a sync, and no sooner"):
        byte = steps.flip(ram, (part & ~bias) + 100) ^ 0xff
        old = stream_page(guest)
        expect(old[PART.start + 100] == PUBLIC[100 % 8], "it arrived without a sync")
        guest.run(f"echo 1 | tee {STREAM_SYSFS}/sync")
        new = stream_page(guest)
        expect(new[PART.start + 100] == byte, "it did not arrive")
        expect(all(new[i] == old[i] for i in range(PAGE) if i != PART.start + 100),
               "other bytes have changed")
    with test.case(f"{what}: nothing is left in the pool when the streams are gone"):
        guest.run("rmmod dpmgr_stream")
        with open(ram, "rb") as file:
            file.seek(pages.start * PAGE)
            expect(not any(file.read(len(pages) * PAGE)), "something is left")


@scenario
def stream(test):
    ram = test.ram()
    with test.boot(steps.memmap(SMALL), ram=ram, alias_bit=BIT, devices=EDU) as guest:
        guest.run(steps.load_command(SMALL))
        with test.case("edu moves the bytes of direct streams, 1 to 1 MiB, at odd "
                       "offsets, both ways, and no others change"):
            _, page, part = load_streams(guest, "direct")
        with test.case("a direct stream's address is its memory's, and debugfs says so"):
            expect(part == page + PART.start, f"{part:#x} is not in the page {page:#x}")
            expect_stream_listed(guest, "direct", part)
        with test.case("the host finds the page where the guest has it"):
            expect(page_in_file(ram, page // PAGE) == stream_page(guest),
                   "guest and host disagree")
        guest.run("rmmod dpmgr_stream")
        guest.run("rmmod dma_pool_mgr")

        for what, parameters, bit in (("isolation=snp", "isolation=snp", None),
                                      ("a vTOM alias", f"vtom_bit={BIT}", BIT),
                                      ("both", f"isolation=snp vtom_bit={BIT}", BIT)):
            guest.run(f"{steps.load_command(SMALL)} {parameters}")
            expect_bounces(test, guest, ram, bit, what)
            guest.run("rmmod dma_pool_mgr")

        with test.case("without a shared pool nothing bounces, and the log names it"):
            guest.run(f"modprobe dma_pool_mgr private={SMALL.private} isolation=snp")
            guest.dmesg()
            guest.run("modprobe dpmgr_stream")
            log = guest.dmesg()
            expect_in(r"^dpmgr_stream .*: stream: stream of 1 bytes refused: it must "
                      r"bounce, and there is no shared pool; .* \(-EOPNOTSUPP\)$", log,
                      "the log")
            guest.run("rmmod dpmgr_stream")
            guest.run("rmmod dma_pool_mgr")
        guest.power_off()
