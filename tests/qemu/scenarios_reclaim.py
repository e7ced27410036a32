# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios about reclaim: a device that may still write to what it was told of before is
reset first, and where that can't be done or proven, nothing is reclaimed. The witness is
QEMU's trace log."""

import re

import nvme
import soak
import steps
from scenarios import CLAIMED, expect, expect_in, expect_write_refused, scenario
from scenarios_nvme import boot, command_register, load_manager
from steps import DEBUGFS, PAGE, SMALL, SYSFS

# Of a bridge, and the bit that resets the bus below it.
BRIDGE_CONTROL = 0x3e
BUS_RESET = 0x40


def pages_of(guest, client):
    """The buffers whose client's name begins so, as the soak driver's are."""
    table = guest.run(f"cat {DEBUGFS}/buffers")
    return [soak.Buffer(client, int(start, 16) >> 12, int(length), int(length) * PAGE, 0)
            for start, length in re.findall(
                rf"^private +0x([0-9a-f]+) +(\d+) .* {client}\S* ", table, re.M)]


def clients(guest):
    return guest.run(f"ls {SYSFS}/clients").split()


def reclaim(guest):
    guest.dmesg()
    guest.run(f"echo reclaim > {SYSFS}/finish")
    return guest.dmesg()


def expect_refused(guest, client, address, why):
    log = expect_write_refused(guest, f"{SYSFS}/finish", "reclaim", CLAIMED)
    expect_in(rf'^dma_pool_mgr: client "{client}": not reclaimed: device pci {address} may '
              rf"still write: {why}.*reclaim-forced", log, "the log")
    expect(client in clients(guest), f"{client} is gone")


def leave(guest, address, client, more=""):
    """Leave a page behind under that name, for the device at ADDRESS."""
    guest.dmesg()
    guest.run(f"modprobe dpmgr_leave device={address} client={client} {more}")
    pfn = re.search(r"left pfn (0x[0-9a-f]+)", guest.dmesg())
    expect(pfn, "nothing was left")
    if not more:
        guest.run("rmmod dpmgr_leave")
    return [soak.Buffer(client, int(pfn[1], 16), 1, PAGE, 0)]


def expect_reclaimed(guest, ram, client, buffers):
    log = reclaim(guest)
    expect_in(f'^dma_pool_mgr: client "{client}": [0-9]+ buffers reclaimed$', log,
              "the log")
    expect(client not in clients(guest), f"{client} is still there")
    soak.wait_scrubbed(guest, ram, buffers)


def bus_resets(bench, start):
    """How often a bridge was told since START to reset what is below it."""
    with open(bench.trace_log, encoding="ascii", errors="replace") as log:
        log.seek(start)
        text = log.read()
    return sum(int(value, 16) & BUS_RESET != 0 for value in re.findall(
        rf"pci_cfg_write pcie-root-port .*@{BRIDGE_CONTROL:#x} <- (0x[0-9a-f]+)", text))


@scenario
def reclaim_nvme(test):
    ram = test.ram()
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, bench = boot(test, [one], ram=ram)
    with guest:
        load_manager(guest)
        nvme.load(guest)
        address, = nvme.addresses(guest)
        guest.run(f"echo commit > {SYSFS}/action; rmmod dpmgr_nvme; rmmod dma_pool_mgr")
        guest.run(steps.load_command(SMALL))
        buffers = pages_of(guest, "nvme-")
        both = clients(guest)
        expect(buffers and len(both) == 2, f"{both} have {buffers}")
        with test.case("a controller that runs on is a bus master: nothing is reclaimed"):
            mark = bench.mark()
            for client in both:
                expect_refused(guest, client, address, "it is still a bus master")
            bench.expect_undisturbed(mark)
        command_register(guest, address, False)
        with test.case("with Bus Master off it is reset, once for both its clients, and "
                       "their buffers are reclaimed"):
            mark = bench.mark()
            log = reclaim(guest)
            for client in both:
                expect_in(f'client "{client}": [0-9]+ buffers reclaimed', log, "the log")
            expect(not clients(guest), f"{clients(guest)} are still there")
            expect(bench.count("pci_nvme_pci_reset", mark) == 1,
                   f"{bench.count('pci_nvme_pci_reset', mark)} resets")
        soak.wait_scrubbed(guest, ram, buffers)
        with test.case("Bus Master on again, an event writes into none of the pages that "
                       "are free now"):
            command_register(guest, address, True)
            bench.warn("a", 1)
            guest.run("sync")
            expect(bench.count("pci_nvme_aer_post_cqe", mark) == 0, "it was posted")
            expect(soak.are_zero(ram, buffers), "a page that is free was written")
        with test.case("the controller is in order: its driver starts it anew"):
            nvme.expect_cold_start(nvme.load(guest), "nothing was handed over")
        guest.power_off()


def root_port(number, *devices):
    """Arguments: a port and what is behind it; QEMU devices with %s for the bus."""
    arguments = ["-device", f"pcie-root-port,id=rp{number},chassis={number},slot={number}"]
    for device in devices:
        arguments += ["-device", device % f"rp{number}"]
    return arguments


EDU = "edu,dma_mask=0xffffffffffffffff"
VENDOR_EDU = "0x1234"


def addresses_of(guest, pattern):
    """Addresses of PCI devices whose vendor and device match, in order."""
    return guest.run(f"cd {nvme.ALL_PCI}; grep -l '{pattern}' */device | cut -d / -f 1"
                     ).split()


def methods(guest, address):
    return guest.run(f"cat {nvme.ALL_PCI}/{address}/reset_method 2>/dev/null || true").strip()


@scenario
def reclaim_pci(test):
    ram = test.ram()
    devices = [
        "-device", EDU, "-device", "e1000e",
        *root_port(1, EDU + ",bus=%s"),
        *root_port(2, EDU + ",bus=%s,addr=0.0,multifunction=on", EDU + ",bus=%s,addr=0.1"),
        *root_port(3, EDU + ",bus=%s,id=plugged")]
    guest, bench = boot(test, [], devices, ram=ram)
    with guest:
        load_manager(guest)
        edus = addresses_of(guest, "0x11e8")
        expect(len(edus) == 5, f"edu is at {edus}")
        lone, behind, first, second, plugged = edus
        network, = addresses_of(guest, "0x10d3")
        no_way(test, guest, ram, lone, network)
        bus_reset(test, guest, bench, ram, behind)
        two_functions(test, guest, bench, ram, first, second)
        firmware_slot(test, guest, bench, ram, plugged)
        guest.power_off()


def no_way(test, guest, ram, lone, network):
    with test.case("a device without any reset is not reclaimed, nor is one whose only "
                   "method leaves its rings; the log names the methods"):
        for address, wanted in ((lone, "none"), (network, "pm")):
            expect(methods(guest, address) in (wanted, ""), methods(guest, address))
            buffers = leave(guest, address, "x")
            expect_refused(guest, "x", address, "it can be reset neither alone nor with "
                           rf"its bus \(reset methods: {wanted}\)")
            expect(not soak.are_zero(ram, buffers), "its page was scrubbed")
            guest.run(f"echo reclaim-forced > {SYSFS}/finish")
            expect("x" not in clients(guest), "it is still there")


def bus_reset(test, guest, bench, ram, address):
    buffers = leave(guest, address, "edu")
    with test.case("a device that a live client has is not reset"):
        mark = bench.mark()
        leave(guest, address, "live", "live=1")
        expect_refused(guest, "edu", address, "another client of it is live")
        guest.run("rmmod dpmgr_leave")
        expect(not bus_resets(bench, mark), "its bus was reset")
    with test.case("a device that is alone on its bus is reset with that, once for its two "
                   "clients"):
        log = reclaim(guest)
        for client in ("edu", "live"):
            expect_in(f'client "{client}": 1 buffers reclaimed', log, "the log")
        expect(bus_resets(bench, mark) == 1, f"{bus_resets(bench, mark)} resets")
        soak.wait_scrubbed(guest, ram, buffers)
    buffers = leave(guest, address, "edu")
    with test.case("one that a driver is bound to is not"):
        mark = bench.mark()
        nvme.give(guest, address, "pci-stub")
        guest.run(f"modprobe pci-stub; echo {address} > /sys/bus/pci/drivers_probe")
        expect_refused(guest, "edu", address, "a driver is bound to it")
        guest.run(f"echo {address} > {nvme.ALL_PCI}/{address}/driver/unbind; "
                  f"echo > {nvme.ALL_PCI}/{address}/driver_override")
        expect(not bus_resets(bench, mark), "its bus was reset")
    with test.case("it is reclaimed when the driver is gone"):
        expect_reclaimed(guest, ram, "edu", buffers)
    with test.case("it works as before, and its driver finds it in order"):
        guest.run("modprobe dpmgr_edu client=; rmmod dpmgr_edu")


def two_functions(test, guest, bench, ram, first, second):
    buffers = leave(guest, first, "first")
    with test.case("a function is not reset with another one that nobody has left"):
        mark = bench.mark()
        expect_refused(guest, "first", first,
                       "00.1 of its bus can't be reset with it: no absent client has it")
        expect(not bus_resets(bench, mark), "the bus was reset")
    buffers += leave(guest, second, "second")
    with test.case("nor with one that is a bus master"):
        command_register(guest, second, True)
        for client, address in (("first", first), ("second", second)):
            expect_refused(guest, client, address, ".*it is still a bus master")
        command_register(guest, second, False)
        expect(not bus_resets(bench, mark), "the bus was reset")
    with test.case("two functions that both were left are reset at once"):
        log = reclaim(guest)
        for client in ("first", "second"):
            expect_in(f'client "{client}": 1 buffers reclaimed', log, "the log")
        expect(bus_resets(bench, mark) == 1, f"{bus_resets(bench, mark)} resets")
        soak.wait_scrubbed(guest, ram, buffers)


def wait_gone(guest, address):
    guest.wait_for(f"[ ! -e {nvme.ALL_PCI}/{address} ]")


def forget(guest, address):
    guest.run(f"echo 1 > {nvme.ALL_PCI}/{address}/remove")


def find_again(guest, address):
    guest.run(f"echo 1 > /sys/bus/pci/rescan; test -e {nvme.ALL_PCI}/{address}")


def firmware_slot(test, guest, bench, ram, address):
    """QEMU's ports say that a slot is empty, full or not, when hot-plug is ACPI's."""
    buffers = leave(guest, address, "plugged")
    why = "it is not found, and its port has no slot of the kernel's"
    with test.case("a device that the kernel has only forgotten is not taken for gone by a "
                   "port that lies"):
        forget(guest, address)
        expect_refused(guest, "plugged", address, why)
        find_again(guest, address)
    with test.case("nor is one that was unplugged: there is no proof"):
        bench.qmp("device_del", id="plugged")
        wait_gone(guest, address)
        expect_refused(guest, "plugged", address, why)
        guest.run(f"echo reclaim-forced > {SYSFS}/finish")
        soak.wait_scrubbed(guest, ram, buffers)


@scenario
def reclaim_unplugged(test):
    """With hot-plug left to the kernel, a slot's bits are the machine's word."""
    ram = test.ram()
    devices = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
               *root_port(1, EDU + ",bus=%s"), *root_port(2, EDU + ",bus=%s,id=plugged")]
    guest, bench = boot(test, [], devices, ram=ram)
    with guest:
        load_manager(guest)
        stays, address = addresses_of(guest, "0x11e8")
        buffers = leave(guest, stays, "stays")
        with test.case("a bus is reset through its slot, and nothing takes its device for "
                       "unplugged"):
            mark = bench.mark()
            expect_reclaimed(guest, ram, "stays", buffers)
            expect(bus_resets(bench, mark) == 1, f"{bus_resets(bench, mark)} resets")
            guest.run(f"test -e {nvme.ALL_PCI}/{stays}")
        buffers = leave(guest, address, "plugged")
        with test.case("a device that the kernel has only forgotten is not taken for gone"):
            forget(guest, address)
            expect_refused(guest, "plugged", address,
                           "it is not found, but its port says that there is something")
            find_again(guest, address)
        with test.case("one that was unplugged is gone: its slot says that it is empty"):
            mark = bench.mark()
            bench.qmp("device_del", id="plugged")
            wait_gone(guest, address)
            # Its driver turns the slot off before QEMU takes the device out.
            guest.wait_for("grep -q 0 /sys/bus/pci/slots/2/adapter")
            expect_reclaimed(guest, ram, "plugged", buffers)
            expect(not bus_resets(bench, mark), "an empty bus was reset")
        guest.power_off()


@scenario
def reclaim_sriov(test):
    ram = test.ram()
    subsystem = ["-device", "nvme-subsys,id=sub",
                 "-device", "pcie-root-port,id=rp,chassis=9,slot=9"]
    one = nvme.Controller(
        test.folder, "a", (), bus="rp",
        more=",subsys=sub,sriov_max_vfs=2,max_ioqpairs=6,msix_qsize=9,"
        "sriov_vq_flexible=4,sriov_vi_flexible=4,sriov_max_vq_per_vf=2,sriov_max_vi_per_vf=2")
    guest, _ = boot(test, [one], subsystem, ram=ram)
    with guest:
        load_manager(guest)
        physical, = nvme.addresses(guest)
        pf = f"{nvme.ALL_PCI}/{physical}"
        guest.run(f"modprobe nvme; echo nvme > {pf}/driver_override; "
                  f"echo {physical} > /sys/bus/pci/drivers_probe")
        guest.run(f"echo 0 > {pf}/sriov_drivers_autoprobe; echo 1 > {pf}/sriov_numvfs")
        virtual = guest.run(f"basename $(readlink {pf}/virtfn0)").strip()
        buffers = leave(guest, virtual, "vf")
        with test.case("a virtual function is reset by itself"):
            expect("flr" in methods(guest, virtual), methods(guest, virtual))
            expect_reclaimed(guest, ram, "vf", buffers)
        left = leave(guest, physical, "pf")
        with test.case("a physical function with virtual ones is not reset"):
            guest.run(f"echo {physical} > {pf}/driver/unbind")
            expect_refused(guest, "pf", physical, "its virtual functions are enabled")
        buffers = leave(guest, virtual, "vf")
        with test.case("a virtual function that was disabled is gone, and the physical one "
                       "is reset"):
            guest.run(f"echo {physical} > /sys/bus/pci/drivers_probe; "
                      f"echo 0 > {pf}/sriov_numvfs; echo {physical} > {pf}/driver/unbind")
            log = reclaim(guest)
            for client in ("vf", "pf"):
                expect_in(f'client "{client}": 1 buffers reclaimed', log, "the log")
            soak.wait_scrubbed(guest, ram, buffers + left)
        guest.power_off()
