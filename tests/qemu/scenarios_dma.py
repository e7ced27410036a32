# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios with a device that does real DMA: shared memory at another address, and
streams that bounce."""

import re

import steps
from edu import (BIT, EDU, HALF, PART, PATTERN, PUBLIC, SECRET, STREAM_SYSFS, SYSFS,
                 expect_edu_refused, expect_stream_listed, load_edu, load_streams,
                 page_in_file, page_in_guest, stream_page)
from scenarios import (ERRORS, INVALID, expect, expect_in, expect_nothing_claimed,
                       expect_refused, mapped, ours, scenario)
from steps import PAGE, SMALL, pages_of

MARK_SIZE = 64          # struct dpmgr_abi_mark, which begins a range

# ---- shared memory at another address ------------------------------------


@scenario
def vtom(test):
    ram = test.ram()
    with test.boot(steps.memmap(SMALL), ram=ram, alias_bit=BIT, devices=EDU) as guest:
        for what, bit, rule in (
                ("inside a range", 29, f"falls inside shared={SMALL.shared}, "),
                ("outside the address width", 46, "outside the address width; ")):
            with test.case(f"a vTOM bit {what} is refused, and the log says why"):
                log = ours(expect_refused(
                    guest, f"{steps.load_command(SMALL)} vtom_bit={bit} test_platform=1",
                    INVALID, ERRORS))
                expect(len(log) == 1
                       and log[0].startswith(f"dma_pool_mgr: vtom_bit={bit}: {rule}"),
                       f"the log says {log}")
                expect_nothing_claimed(guest)

        guest.run(f"{steps.load_command(SMALL)} vtom_bit={BIT} test_platform=1")
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
            log = expect_edu_refused(guest, "mask_bits=40",
                                     "lies above the device's DMA mask")
            expect_in("begins at DMA address 0x10022000000; the DMA mask is 0xffffffffff,", log,
                      "the log")
            load_edu(guest, "mask_bits=40 private=1 persistent=1")
            guest.run("rmmod dpmgr_edu")
        with test.case("a device whose DMA mask just has the bit gets one"):
            load_edu(guest, "mask_bits=41")
            guest.run("rmmod dpmgr_edu")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()


# ---- streams -------------------------------------------------------------


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
        # The range's mark lies in its first page.
        expect(not any(pool[MARK_SIZE:start]) and not any(pool[start + len(PART):]),
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
            pool = file.read(len(pages) * PAGE)
            expect(not any(pool[MARK_SIZE:]), "something is left")
    with test.case(f"{what}: edu writes whole lines around the entries of a table, and "
                   "spoils no other entry"):
        load_streams(guest, "bounced", "table=1 most=1")
        guest.run("rmmod dpmgr_stream")


@scenario
def stream(test):
    ram = test.ram()
    with test.boot(steps.memmap(SMALL), ram=ram, alias_bit=BIT, devices=EDU) as guest:
        guest.run(steps.load_command(SMALL))
        with test.case("edu moves the bytes of direct streams, 1 to 1 MiB, at odd "
                       "offsets, both ways, and of a table, and no others change"):
            _, page, part = load_streams(guest, "direct", "table=1")
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
            guest.run(f"{steps.load_command(SMALL)} {parameters} test_platform=1")
            expect_bounces(test, guest, ram, bit, what)
            guest.run("rmmod dma_pool_mgr")

        with test.case("without a shared pool nothing bounces, and the log names it"):
            guest.run(f"modprobe dma_pool_mgr private={SMALL.private} isolation=snp "
                      "test_platform=1 state=none")
            guest.dmesg()
            guest.run("modprobe dpmgr_stream")
            log = guest.dmesg()
            expect_in(r"^dpmgr_stream .*: stream: stream of 1 bytes refused: it must "
                      r"bounce, and there is no shared pool; .* \(-EOPNOTSUPP\)$", log,
                      "the log")
            guest.run("rmmod dpmgr_stream")
            guest.run("rmmod dma_pool_mgr")
        guest.power_off()
