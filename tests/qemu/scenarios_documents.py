# SPDX-License-Identifier: GPL-2.0-only
"""What README.md and Documentation/ tell their readers to type, typed."""

import os
import re
import subprocess
import sys

import steps
from edu import EDU
from scenarios import expect, expect_in, scenario
from scenarios_iommu import IOMMU, faults, row

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "snippets"))
import extract  # noqa: E402

MEMORY = "6G"           # README's ranges begin at 4 GiB

BUS_MASTER = 4          # in a device's PCI command register

# The kernel's virtio driver tries ivshmem, is refused by it, and turns its Bus Master off.
NO_VIRTIO = "initcall_blacklist=virtio_pci_driver_init modprobe.blacklist=virtio_pci"

# Where documents are read there are scripts/ and a new kernel.
PREPARE = """mkdir -p scripts
ln -s /usr/sbin/dpmgr-kexec scripts/
ln -s /boot/vmlinuz /boot/vmlinuz-NEW
ln -s /boot/initrd /boot/initrd.img-NEW
modprobe my_device"""


# These need a compiler, and so run on the host: README's two commands are the demo and all
# tests, which build the module and run the scripts that contributing.rst names.
BUILDS = ("apt-get update", "make")


def expect_all_typed():
    """A case types each block of shell that there is: it says how the block begins."""
    with open(__file__, encoding="utf-8") as source:
        typed = re.findall(r'one_block\((?:"[^"]*"|\w+), "([^"]+)"', source.read())
    for document in extract.documents():
        for block in extract.blocks(document, "sh"):
            expect(block.startswith((*typed, *BUILDS)), f"{document}: nobody types:\n{block}")


def one_block(document, first):
    """The one block of shell in DOCUMENT that begins with FIRST."""
    found = [block for block in extract.blocks(document, "sh") if block.startswith(first)]
    expect(len(found) == 1, f"{document} has {len(found)} blocks that begin with {first!r}")
    return found[0]


def grub_parameters():
    """The kernel parameters that README puts into /etc/default/grub: the shell reads them,
    and then GRUB reads what the shell has made of them."""
    block = one_block("README.md", "GRUB_CMDLINE_LINUX=")
    text = subprocess.run(["sh", "-c", block + 'printf %s "$GRUB_CMDLINE_LINUX"'], check=True,
                          text=True, capture_output=True).stdout
    expect(not re.search(r"(?<!\\)\$", text), f"GRUB would expand a variable in {text!r}")
    return text.replace("\\$", "$")


def kexec_as(guest, block):
    """BLOCK replaces the kernel; in the guest there is no systemd."""
    commands, jump = block.rsplit("\n", 2)[:2]
    expect(jump.split("#")[0].strip() == "systemctl kexec", f"it ends with {jump!r}")
    guest.run(commands)
    guest.send("kexec -e")
    guest.wait_ready("the kernel after kexec")
    guest.run(PREPARE)


def queue(guest, driver, device, origin):
    """Load DRIVER; the address that it says its queue has, which has this ORIGIN."""
    guest.dmesg()
    guest.run(f"modprobe {driver}")
    log = guest.dmesg()
    expect_in(rf"^{device} {device}: queue at 0x[0-9a-f]+{origin}$", log, "the log")
    return re.search(r"queue at (0x[0-9a-f]+)", log)[1]


@scenario
def documents_readme(test):
    load = one_block("README.md", "modprobe dma_pool_mgr ")
    replace = one_block("README.md", "scripts/dpmgr-kexec")
    with test.boot(grub_parameters(), memory=MEMORY) as guest:
        guest.run(PREPARE)
        with test.case("README's parameters reserve what its load takes"):
            pools = guest.run(load)
            for address in ("0x0*100000000", "0x0*104000000"):
                expect_in(address, pools, "pools")
        with test.case("README's driver gets its queue back in the kernel that README's "
                       "commands go to"):
            before = queue(guest, "my_driver", "my-device", ": new")
            kexec_as(guest, replace)
            guest.run(load)
            expect(queue(guest, "my_driver", "my-device", ": retrieved") == before,
                   "it is another queue")
        with test.case("it gives back the queue of a kernel that did not keep it"):
            guest.run(one_block("Documentation/administration.rst", "echo 0 > "))
            kexec_as(guest, replace)
            guest.run(load)
            queue(guest, "my_driver", "my-device", ": new")
            pages = guest.run(f"cat {steps.SYSFS}/clients/my-device/pages").split()[0]
            expect(pages == "16", f"the client has {pages} pages")
        with test.case("README's commit is what a reload restores"):
            guest.run(one_block("README.md", "echo commit"))
            guest.run("modprobe -r my_driver && modprobe -r dma_pool_mgr")
            guest.run(load)
            queue(guest, "my_driver", "my-device", ": retrieved")
        guest.power_off()


@scenario
def documents_guide(test):
    guide = "Documentation/administration.rst"
    load = one_block("README.md", "modprobe dma_pool_mgr ")
    with test.boot(grub_parameters(), memory=MEMORY) as guest:
        with test.case("each command of the documents is typed by a case"):
            expect_all_typed()
        guest.run(PREPARE)
        guest.run(load)
        guest.run(one_block(guide, "echo 10 > "))
        with test.case("driver-api.rst's stream brings what the device reported"):
            guest.dmesg()
            guest.run("modprobe my_streams")
            expect_in("^my-streams my-streams: received 9000 bytes$", guest.dmesg(), "the log")
        before = queue(guest, "my_driver", "my-device", ": new")
        with test.case("the guide's commands replace the module"):
            guest.run("modprobe -r my_streams")
            guest.run(one_block(guide, "echo commit"))
            expect_in(f"^my-device my-device: queue at {before}: retrieved$", guest.dmesg(),
                      "the log")
        started = queue(guest, "my_keepalive", "my-keepalive", "")
        with test.case("the guide's freeze shows who would be kept, and is called off"):
            states = guest.run(one_block(guide, "echo freeze"))
            expect(set(states.split()) == {"frozen"}, f"the states are {states!r}")
            expect_in("^my-keepalive my-keepalive: goes on$", guest.dmesg(), "the log")
        with test.case("driver-api.rst's driver goes on in the kernel that the guide's "
                       "commands go to"):
            kexec_as(guest, one_block(guide, "scripts/dpmgr-kexec"))
            guest.run(load)
            expect(queue(guest, "my_keepalive", "my-keepalive", "") == started,
                   "it is another queue")
        with test.case("the guide's all or nothing keeps all"):
            guest.run("modprobe my_driver")
            freeze, jump = one_block(guide, "echo 1 > ").rsplit(" && ", 1)
            guest.run(freeze)
            expect(jump.strip() == "systemctl kexec", f"it ends with {jump!r}")
            steps.kexec(guest)
            guest.run(PREPARE + "\n" + load)
            queue(guest, "my_driver", "my-device", ": retrieved")
        with test.case("the guide's last commands say what is left, and reclaim asks for proof"):
            what, reclaim = one_block(guide, "echo fail").splitlines()
            guest.dmesg()
            status, output = guest.try_run(what)
            expect(status and "not empty" in output, f"{status}: {output}")
            expect_in('client "my-keepalive": not claimed', guest.dmesg(), "the log")
            status, output = guest.try_run(reclaim)
            expect(status and "busy" in output, f"{status}: {output}")
        guest.power_off()


@scenario
def documents_regions(test):
    with test.boot(f"{steps.memmap(steps.SMALL)} intel_iommu=on no_timer_check {NO_VIRTIO}",
                   devices=[*IOMMU, *EDU, "-object", "memory-backend-ram,id=bar,size=1M",
                            "-device", "ivshmem-plain,memdev=bar"]) as guest:
        guest.run(steps.load_command(steps.SMALL))
        guest.run("modprobe my_bar")
        name = guest.run("basename /sys/bus/pci/drivers/my-bar/0*").strip()
        with test.case("regions.rst's BAR can be reached by other devices"):
            expect(row(guest, "regions", name + " BAR 2")["state"] == "active",
                   "its region is not active")
        with test.case("regions.rst's driver puts its device into a target, and its DMA works"):
            before = faults(guest)
            guest.dmesg()
            guest.run("modprobe my_target")
            expect_in("^my-driver 0.*: copied 2048 bytes$", guest.dmesg(), "the log")
            expect(faults(guest) == before, "there were faults")
        with test.case("unbound, they leave no region and no target, and no complaint"):
            guest.run("rmmod my_bar my_target")
            expect(name not in guest.run(f"cat {steps.DEBUGFS}/regions"), "the region is left")
            expect(len(guest.run(f"cat {steps.DEBUGFS}/targets").splitlines()) == 1,
                   "the target is left")
            log = guest.dmesg()
            expect("dma_pool_mgr" not in log, f"the log: {log}")
        with test.case("keepalive.rst's shutdown keeps Bus Master over a kexec"):
            guest.run("modprobe my_bar")
            for when in ("before", "after"):
                command = int(guest.run("od -An -tu2 -j4 -N2 "
                                        f"/sys/bus/pci/devices/{name}/config"))
                expect(command & BUS_MASTER, f"{when}, the command register is {command:#x}")
                if when == "before":
                    steps.kexec(guest)
        guest.power_off()
