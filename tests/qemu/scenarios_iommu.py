# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios with a device that does real DMA behind an IOMMU: refused, passed through,
attached to a target, in groups, and beside another device's BAR."""

import base64
import os
import re

import steps
from edu import (BIT, EDU, HALF, PATTERN, STREAM_SYSFS, SYSFS, expect_edu_refused,
                 expect_stream_listed, load_edu, load_streams, page_in_file, page_in_guest)
from scenarios import CANCELED, expect, expect_in, expect_write_refused, scenario
from steps import PAGE, SMALL, pages_of

# On a busy host, a kernel may find that its timer doesn't work, and blame remapped
# interrupts for it.
IOMMU = ["-device", "intel-iommu,intremap=off"]


def group_type(guest):
    """The file with the type of the domain that edu's group is in."""
    device = guest.run("grep -l 0x11e8 /sys/bus/pci/devices/*/device").strip()
    return device.removesuffix("device") + "iommu_group/type"


def iommu_domain(guest):
    return guest.run(f"cat {group_type(guest)}").strip()


@scenario
def iommu(test):
    devices = [*IOMMU, *EDU]
    append = steps.memmap(SMALL) + " intel_iommu=on no_timer_check"
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
        with test.case("under its client, the type of its group can't be switched; without "
                       "one it can"):
            load_edu(guest)
            switch = f"echo DMA | tee {group_type(guest)}"
            expect(guest.try_run(switch)[0], "the type could be switched")
            guest.run("rmmod dpmgr_edu")
            guest.run(switch)
            expect(iommu_domain(guest) == "DMA", "the type was not switched")
            guest.run(f"echo identity | tee {group_type(guest)}")
        with test.case("a driver that manages its DMA is refused without a target: its group "
                       "could be"):
            for parameters in ("", "private=1 persistent=1", "private=1"):
                expect_edu_refused(guest, "managed=1 " + parameters,
                                   "driver_managed_dma without a target: attach it to one, or "
                                   "drop driver_managed_dma")
        guest.power_off()
    iommu_target(test, devices, append)


# ---- attached to an IOMMU target -----------------------------------------

SECOND = bytes(b ^ 0x5a for b in PATTERN)


def faults(guest):
    """How often an IOMMU has said that it has blocked something."""
    lines = re.findall(r"^ *\d+:((?: +\d+)+) .*dmar", guest.run("cat /proc/interrupts"), re.M)
    expect(lines, "no IOMMU has an interrupt")
    return sum(int(count) for line in lines for count in line.split())


def dma(guest, what, address, faulting=False):
    """One transfer between ADDRESS and edu's buffer, which faults once or not at all."""
    before = faults(guest)
    guest.run(f"echo {what} {address:#x} | tee {SYSFS}/dma")
    new = faults(guest) - before
    expect(new == int(faulting), f"{what} {address:#x}: {new} faults")


def extra_in_guest(guest):
    """The driver's page that is in no pool, as the CPU finds it."""
    return base64.b64decode(guest.run(f"base64 {SYSFS}/extra"))


def row(guest, table, name):
    """The line of a table in debugfs whose last column is NAME, by column."""
    header, *lines = guest.run(f"cat {steps.DEBUGFS}/{table}").splitlines()
    for line in lines:
        found = line.split(None, len(header.split()) - 1)
        if found[-1] == name:
            return dict(zip(header.split(), found))
    expect(False, f"{table} has no line of {name}")
    return None


def load_target(guest, parameters=""):
    """Load the driver, with a target; return its page's DMA address and page number, and
    the address of the page that is in no pool."""
    return load_target_log(guest, parameters)[:3]


def load_target_log(guest, parameters=""):
    """The same, and what the log says."""
    guest.dmesg()
    guest.run("modprobe dpmgr_edu target=1 " + parameters)
    log = guest.dmesg()
    found = re.search(r"^dpmgr_edu .*: dma_addr (0x[0-9a-f]+), pfn (0x[0-9a-f]+): ok$",
                      log, re.M)
    extra = re.search(r"^dpmgr_edu .*: extra page at (0x[0-9a-f]+)$", log, re.M)
    expect(found and extra, "the edu driver did not say that DMA works:\n" + log)
    return int(found[1], 16), int(found[2], 16), int(extra[1], 16), log


def target_name(guest):
    return "iommu " + guest.run(f"basename {SYSFS}").strip()


def iommu_target(test, devices, append):
    """What a device that is attached to a target can reach."""
    with test.boot(append, devices=devices) as guest:
        guest.run(steps.load_command(SMALL))
        with test.case("attached to a target, a device's DMA in either pool works, and "
                       "doesn't fault"):
            for parameters in ("private=1 persistent=1", ""):
                before = faults(guest)
                dma_addr, pfn, extra = load_target(guest, parameters)
                expect(dma_addr == pfn * PAGE,
                       f"page {pfn:#x} has the DMA address {dma_addr:#x}")
                expect(faults(guest) == before, "there were faults")
                if parameters:
                    guest.run("rmmod dpmgr_edu")
        with test.case("debugfs has the pools' regions, and what the target has of them"):
            for pool in ("shared", "private"):
                line = row(guest, "regions", pool)
                expect(line["state"] == "active" and line["memory"] == "ram", f"{line}")
            line = row(guest, "targets", target_name(guest))
            expect(int(line["mappings"]) == 2 and int(line["bytes"]) == 64 << 20, f"{line}")
        with test.case("its DMA anywhere else faults, and changes nothing"):
            empty = bytes([0xee]) * PAGE
            dma(guest, "load", dma_addr)
            dma(guest, "store", extra, faulting=True)
            expect(extra_in_guest(guest) == empty, "the page has changed")
            # Just before a pool, and where there is no memory at all.
            for address in (0x22000000 - PAGE, 0x26000000, 0x8000000000 - PAGE):
                dma(guest, "store", address, faulting=True)
            page = page_in_guest(guest)
            dma(guest, "load", extra, faulting=True)
            dma(guest, "store", dma_addr + HALF)
            expect(page_in_guest(guest)[HALF:] == bytes(HALF) != page[HALF:],
                   "the device has read something")
        with test.case("a region that appears it reaches at once"):
            guest.run(f"echo 1 | tee {SYSFS}/extra_mapped")
            dma(guest, "load", dma_addr)
            dma(guest, "store", extra)
            expect(extra_in_guest(guest) == PATTERN + empty[HALF:], "the DMA did not arrive")
            expect(int(row(guest, "targets", target_name(guest))["mappings"]) == 3,
                   "the target has something else")
        with test.case("one that goes away is unreachable at the next DMA"):
            guest.run(f"echo 0 | tee {SYSFS}/extra_mapped")
            dma(guest, "store", extra + HALF, faulting=True)
            expect(extra_in_guest(guest) == PATTERN + empty[HALF:], "the page has changed")
        with test.case("and it would not be without a flush: so this test can fail"):
            guest.run(f"echo 1 | tee {SYSFS}/extra_mapped")
            dma(guest, "store", extra)
            guest.run(f"echo 1 | tee {SYSFS}/extra_unflushed")
            dma(guest, "store", extra + HALF)
            expect(extra_in_guest(guest) == 2 * PATTERN, "the DMA did not arrive")
        with test.case("even what has gone from the domain by other hands is flushed when its "
                       "region goes"):
            guest.run(f"echo 0 | tee {SYSFS}/extra_mapped")
            dma(guest, "store", extra, faulting=True)
        with test.case("RAM where the IOMMU reserves addresses is refused, and so are locked "
                       "pages"):
            guest.dmesg()
            expect(guest.try_run(f"echo 1 | tee {SYSFS}/map_window")[0], "it is not refused")
            expect_in(r'^dma_pool_mgr: target "iommu .*": 0xfee00000-0xfee00fff can\'t be '
                      r"mapped \(-ERANGE\)$", guest.dmesg(), "the log")
            guest.run("rmmod dpmgr_edu")
            guest.dmesg()
            guest.run("modprobe dpmgr_edu target=1 private=1")
            expect_in("refused: the device's IOMMU target has the pools, and no locked pages"
                      r".*\(-EOPNOTSUPP\)$", guest.dmesg(), "the log")
            guest.run("rmmod dpmgr_edu")
        with test.case("a device that has left is where it was before, and can come back"):
            expect(guest.run(f"sed 1d {steps.DEBUGFS}/targets") == "", "a target is left")
            load_target(guest)
            guest.run("rmmod dpmgr_edu")
            guest.run("rmmod dma_pool_mgr")
        guest.power_off()


def expect_map_refused(guest, rule):
    guest.dmesg()
    expect(guest.try_run(f"echo 1 | tee {STREAM_SYSFS}/map")[0], "it is not refused")
    expect_in(r"^dpmgr_stream .*: stream: stream of 1 bytes refused: .*" + rule +
              r".* \(-EOPNOTSUPP\)$", guest.dmesg(), "the log")


@scenario
def iommu_stream(test):
    devices = [*IOMMU, *EDU]
    with test.boot(steps.memmap(SMALL) + " intel_iommu=on no_timer_check",
                   devices=devices) as guest:
        for what, isolation in (("not isolated", ""),
                                ("isolated", " isolation=vbs test_platform=1")):
            guest.run(steps.load_command(SMALL) + isolation)
            with test.case(f"{what}, attached to a target: edu moves the bytes of streams, "
                           "both ways, and doesn't fault"):
                before = faults(guest)
                addresses, _, part = load_streams(guest, "bounced", "target=1")
                expect(faults(guest) == before, "there were faults")
            with test.case(f"{what}: their addresses are the shared pool's, which the target "
                           "has, and debugfs says that they bounce"):
                for address in addresses + [part]:
                    expect(address >> 12 in pages_of(SMALL.shared),
                           f"{address:#x} is not the shared pool's")
                expect_stream_listed(guest, "bounced", part)
            with test.case(f"{what}: once it is in a domain of its driver's own, mapping is "
                           "refused"):
                guest.run(f"echo 1 | tee {STREAM_SYSFS}/map")
                guest.run(f"echo own | tee {STREAM_SYSFS}/leave")
                expect_map_refused(guest, "its device has left its IOMMU target")
                guest.run("rmmod dpmgr_stream")
            guest.run("rmmod dma_pool_mgr")
        guest.run(steps.load_command(SMALL) + " isolation=vbs test_platform=1")
        with test.case("and once it is where the kernel translates"):
            load_streams(guest, "bounced", "target=1 most=1")
            guest.run(f"echo 1 | tee {STREAM_SYSFS}/leave")
            expect_map_refused(guest, "its device has left its IOMMU target")
            guest.run("rmmod dpmgr_stream")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()


@scenario
def iommu_groups(test):
    # Two by themselves, and two behind a bridge that hides which of them it is.
    edu = EDU[1]
    devices = [*IOMMU, "-device", edu, "-device", edu,
               "-device", "pcie-pci-bridge,id=bridge",
               "-device", edu + ",bus=bridge,addr=1", "-device", edu + ",bus=bridge,addr=2"]
    with test.boot(steps.memmap(SMALL) + " intel_iommu=on no_timer_check",
                   devices=devices) as guest:
        guest.run(steps.load_command(SMALL))
        with test.case("devices of three groups use one domain, and the DMA of each works"):
            before = faults(guest)
            guest.dmesg()
            guest.run("modprobe dpmgr_edu target=1 share=1 client=")
            log = guest.dmesg()
            found = re.findall(r"^dpmgr_edu (\S+): dma_addr 0x[0-9a-f]+, .*: ok$", log, re.M)
            expect(len(set(found)) == 4, "not all say that their DMA works:\n" + log)
            expect(faults(guest) == before, "there were faults")
            groups = {guest.run(f"readlink /sys/bus/pci/devices/{name}/iommu_group").strip()
                      for name in found}
            expect(len(groups) == 3, f"the groups are {groups}")
            expect(len(guest.run(f"cat {steps.DEBUGFS}/targets").splitlines()) == 2,
                   "there is not one target")
        with test.case("when the driver of the one that the target was made for leaves, the "
                       "others' DMA goes on"):
            guest.run(f"echo {found[0]} | tee /sys/bus/pci/drivers/dpmgr_edu/unbind")
            before = faults(guest)
            for name in found[1:]:
                guest.run(f"echo 1 | tee /sys/bus/pci/devices/{name}/copy")
            expect(faults(guest) == before, "there were faults")
            guest.run("rmmod dpmgr_edu")
            expect(len(guest.run(f"cat {steps.DEBUGFS}/targets").splitlines()) == 1,
                   "a target is left")
        with test.case("a device whose group another target has is refused, and the log says "
                       "why; the others get targets of their own"):
            guest.dmesg()
            guest.run("modprobe dpmgr_edu target=1 client=")
            log = guest.dmesg()
            refused = re.findall(r"^dpmgr_edu (\S+): dma_pool_mgr: can't be attached to an IOMMU "
                                 r"target: .*another in its group \(-EPERM\)$", log, re.M)
            expect(len(refused) == 1 and refused[0] in found, "not one is refused:\n" + log)
            expect(len(guest.run(f"cat {steps.DEBUGFS}/targets").splitlines()) == 4,
                   "there are not three targets")
            guest.run("rmmod dpmgr_edu")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()


@scenario
def iommu_not_kept(test):
    parameters = "target=1 private=1 persistent=1"
    with test.boot(steps.memmap(SMALL) + " intel_iommu=on no_timer_check",
                   devices=[*IOMMU, *EDU]) as guest:
        guest.run(steps.load_command(SMALL))
        _, pfn = load_edu(guest, parameters)
        with test.case("a client of a device in a target is refused at a freeze, and the log "
                       "says why"):
            log = expect_write_refused(guest, f"{steps.SYSFS}/action", "freeze", CANCELED)
            expect_in('^dma_pool_mgr: client "edu" is not kept: its device is attached to an '
                      r"IOMMU target, .* \(-EOPNOTSUPP\); its buffers will be orphaned$",
                      log, "the log")
        with test.case("over a kexec its buffer is orphaned, and the next driver gets another"):
            steps.kexec(guest)
            guest.run(steps.load_command(SMALL))
            orphan = f"{pfn << 12:#018x} .* orphaned +edu "
            expect_in(orphan, guest.run(f"cat {steps.DEBUGFS}/buffers"), "debugfs buffers")
            expect(load_edu(guest, parameters)[1] != pfn, "the page was handed out")
            expect_in(orphan, guest.run(f"cat {steps.DEBUGFS}/buffers"), "debugfs buffers")
        guest.run("rmmod dpmgr_edu")
        guest.power_off()


MIB = 1 << 20
# Of the driver's superpages: offset and bytes.
PARTS = ((0, 2 * MIB), (2 * MIB, MIB), (3 * MIB, MIB))


@scenario
def iommu_superpages(test):
    ram = test.ram()
    with test.boot(steps.memmap(SMALL) + " intel_iommu=on no_timer_check", ram=ram,
                   devices=[*IOMMU, *EDU]) as guest:
        guest.run(steps.load_command(SMALL))
        dma_addr, _, _, log = load_target_log(guest, "super=1")
        start = int(re.search(r"dpmgr_edu .*: superpages at (0x[0-9a-f]+)$", log, re.M)[1], 16)
        expect(start % (4 * MIB) == 0, f"{start:#x} is not aligned")

        def ends(part):
            offset, size = PARTS[part]
            return start + offset, start + offset + size - HALF

        def expect_reached(part, reached):
            for address in ends(part):
                dma(guest, "store", address, faulting=not reached)

        def mapped_bytes():
            return int(row(guest, "targets", target_name(guest))["bytes"]) - (64 << 20)

        def change(part, mapped):
            guest.run(f"echo {part} {mapped} | tee {SYSFS}/super_mapped")

        with test.case("sub-mappings side by side, one of 2 MiB and two of half of that, are "
                       "all reached, to their ends: so the host says"):
            for part in range(3):
                change(part, 1)
            expect(mapped_bytes() == 4 * MIB, f"{mapped_bytes()} bytes are mapped")
            dma(guest, "load", dma_addr)
            for part in range(3):
                expect_reached(part, True)
                for address in ends(part):
                    page, offset = divmod(address, PAGE)
                    found = page_in_file(ram, page)[offset:offset + HALF]
                    expect(found == PATTERN, f"nothing came to {address:#x}")
        with test.case("one that goes takes nothing from its neighbours, whose superpage it "
                       "does not share"):
            for gone in (1, 0, 2):
                change(gone, 0)
                expect(mapped_bytes() == 4 * MIB - PARTS[gone][1],
                       f"{mapped_bytes()} bytes are mapped")
                for part in range(3):
                    expect_reached(part, part != gone)
                change(gone, 1)
            expect("had holes" not in guest.dmesg(), "an unmap had another size")
        with test.case("and there is a superpage to be torn: of the 2 MiB, a page can't be "
                       "unmapped alone; of the others it can"):
            for part, size in ((0, 2 * MIB), (1, PAGE), (2, PAGE)):
                guest.dmesg()
                guest.run(f"echo {part} | tee {SYSFS}/super_tear")
                expect_in(f"^dpmgr_edu .*: part {part}: {size} bytes are unmapped$",
                          guest.dmesg(), "the log")
        guest.run("rmmod dpmgr_edu")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()


@scenario
def iommu_vtom(test):
    ram = test.ram()
    append = steps.memmap(SMALL) + " intel_iommu=on no_timer_check"
    load = steps.load_command(SMALL) + f" vtom_bit={BIT} test_platform=1"
    bias = 1 << BIT
    with test.boot(append, ram=ram, alias_bit=BIT,
                   devices=["-device", "intel-iommu,intremap=off,aw-bits=48", *EDU]) as guest:
        guest.run(load)
        with test.case("attached to a target, a device's DMA in the shared pool works at its "
                       "addresses with the vTOM bit: so the host says"):
            before = faults(guest)
            dma_addr, pfn, _ = load_target(guest)
            expect(dma_addr == pfn * PAGE | bias, f"the DMA address is {dma_addr:#x}")
            expect(faults(guest) == before, "there were faults")
            expect(page_in_file(ram, pfn) == 2 * PATTERN, "the host finds something else")
        with test.case("and at those without the bit it faults, as in the private pool those "
                       "with it do"):
            dma(guest, "store", dma_addr & ~bias, faulting=True)
            private = pages_of(SMALL.private).start * PAGE
            dma(guest, "store", private | bias, faulting=True)
            dma(guest, "load", private)
        with test.case("streams of a device in a target bounce, and their bytes arrive"):
            before = faults(guest)
            guest.run(f"echo 1 | tee {SYSFS}/stream")
            expect(faults(guest) == before, "there were faults")
        guest.run("rmmod dpmgr_edu")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()
    with test.boot(append, ram=ram, alias_bit=BIT,
                   devices=["-device", "intel-iommu,intremap=off,aw-bits=39", *EDU]) as guest:
        guest.run(load)
        with test.case("an IOMMU whose aperture ends below the bit is refused, and the log "
                       "says where it ends"):
            guest.dmesg()
            guest.run("modprobe dpmgr_edu target=1")
            log = guest.dmesg()
            expect_in(r"^dma_pool_mgr: 0x10022000000-0x10023ffffff: it is beyond what the IOMMU "
                      "can map; its aperture is 0x0-0x7fffffffff$", log, "the log")
            expect_in(r"^dpmgr_edu .*: dma_pool_mgr: can't be attached to an IOMMU target: the "
                      r"map's memory can't be mapped for it \(-ERANGE\)$", log, "the log")
            expect(guest.run(f"sed 1d {steps.DEBUGFS}/targets") == "", "a target is left")
        guest.run("rmmod dpmgr_edu")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()


BAR = "/sys/bus/pci/drivers/dpmgr_bar/0*"


@scenario
def p2p(test):
    shared = os.path.join(test.folder, "bar")
    with open(shared, "wb") as bar:
        bar.truncate(1 << 20)
    devices = [*IOMMU, *EDU,
               "-object", f"memory-backend-file,id=bar,share=on,size=1M,mem-path={shared}",
               "-device", "ivshmem-plain,memdev=bar"]

    def bar_page(number):
        return page_in_file(shared, number)

    ram = test.ram()
    with test.boot(steps.memmap(SMALL) + " intel_iommu=on no_timer_check", ram=ram,
                   devices=devices) as guest:
        guest.run(steps.load_command(SMALL))
        dma_addr, pfn, _ = load_target(guest)
        guest.run("modprobe dpmgr_bar")
        base = int(guest.run(f"sed -n 3p {BAR}/resource").split()[0], 16)
        name = guest.run(f"basename {BAR}").strip() + " BAR 2"
        with test.case("before its driver shows it, another device's BAR is out of reach"):
            dma(guest, "load", dma_addr)
            dma(guest, "store", base, faulting=True)
            expect(bar_page(0) == bytes(PAGE), "it has changed")
            expect(row(guest, "regions", name)["state"] == "disabled", "its region is enabled")
        with test.case("shown live, the device's DMA into it arrives: so the host says"):
            guest.run(f"echo 1 | tee {BAR}/mapped")
            dma(guest, "store", base + PAGE)
            expect(bar_page(1) == PATTERN + bytes(HALF), "the host finds something else")
            line = row(guest, "regions", name)
            expect(line["state"] == "active" and line["memory"] == "device", f"{line}")
            line = row(guest, "targets", target_name(guest))
            expect(int(line["mappings"]) == 3 and int(line["bytes"]) == 65 << 20, f"{line}")
        with test.case("and its DMA out of it, what the host has written there"):
            with open(shared, "r+b") as bar:
                bar.seek(2 * PAGE)
                bar.write(SECOND)
            dma(guest, "load", base + 2 * PAGE)
            dma(guest, "store", dma_addr + HALF)
            expect(page_in_file(ram, pfn) == PATTERN + SECOND, "the host finds something else")
        with test.case("disabled, it is out of reach at the next DMA, and nothing else is"):
            guest.run(f"echo 0 | tee {BAR}/mapped")
            dma(guest, "store", base + 2 * PAGE + HALF, faulting=True)
            dma(guest, "store", base + PAGE + HALF, faulting=True)
            expect(bar_page(1) == PATTERN + bytes(HALF), "it has changed")
            expect(bar_page(2) == SECOND + bytes(HALF), "it has changed")
            before = faults(guest)
            guest.run(f"echo 1 | tee {SYSFS}/copy")
            expect(faults(guest) == before, "there were faults")
            expect(page_in_guest(guest) == 2 * PATTERN, "the pool is out of reach")
        with test.case("a target that registers later gets it in the replay"):
            guest.run(f"echo 1 | tee {BAR}/mapped")
            guest.run("rmmod dpmgr_edu")
            dma_addr, pfn, _ = load_target(guest)
            dma(guest, "load", dma_addr)
            dma(guest, "store", base + 3 * PAGE)
            expect(bar_page(3) == PATTERN + bytes(HALF), "the host finds something else")
        with test.case("a driver that leaves it enabled is told off, and it is disabled"):
            guest.dmesg()
            guest.run("rmmod dpmgr_bar")
            expect_in("^dpmgr_bar .*: dma_pool_mgr: the driver has left a BAR mapped",
                      guest.dmesg(), "the log")
            dma(guest, "store", base, faulting=True)
            expect(bar_page(0) == bytes(PAGE), "it has changed")
            expect(name not in guest.run(f"cat {steps.DEBUGFS}/regions"), "the region is left")
        guest.run("rmmod dpmgr_edu")
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()
