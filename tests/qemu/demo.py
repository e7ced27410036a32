# SPDX-License-Identifier: GPL-2.0-only
"""The main job, told as it happens: an NVMe disk with files on it that never notices
that the kernel is replaced.

demo.py KERNEL-ROOT GUEST-ROOT BUILD-FOLDER [--corrupt] MODULE...

With --corrupt, one byte of a file on the disk is changed from outside between the two
kernels: the demo must find it, and fail.
"""

import os
import re
import sys
import textwrap
import time

import initramfs
import nvme
import scenarios_vtl
import steps
import vm

STARTED = time.monotonic()
DISK = "/dev/dpnvme0n1"
PARTITION = DISK + "p1"
MARK = b"This very text is in one of its files. "

RANGES = steps.SMALL._replace(
    reserved=[*steps.SMALL.reserved, f"1M${scenarios_vtl.MAP:#x}"])
LOAD = f"{steps.load_command(RANGES)} {scenarios_vtl.EMULATED}"


def tell(text):
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def show(text):
    print(textwrap.indent(text.rstrip(), "            "), flush=True)


def run(guest, command):
    """Show COMMAND, run it, and show what it says."""
    show("# " + command)
    output = guest.run(command)
    if output.strip():
        show(output)


def driver_lines(log):
    return "\n".join(line for line in log.splitlines() if line.startswith("dpmgr_nvme "))


def load_driver(guest):
    for address in nvme.addresses(guest):
        show(f"# echo dpmgr_nvme > {nvme.ALL_PCI}/{address}/driver_override")
    show("# modprobe dpmgr_nvme vtl0=1")
    log = nvme.load(guest, parameters="vtl0=1")
    show(driver_lines(log))
    return log


def show_protections(guest, ram):
    """What VTL0 may do with the driver's pages, as the emulated hypervisor has it."""
    flags = scenarios_vtl.read_map(ram)
    found = {}
    for start, length, name in re.findall(
            r"^private +0x([0-9a-f]+) +(\d+) .* nvme-\S+-(\w+) ",
            guest.run(f"cat {steps.DEBUGFS}/buffers"), re.M):
        first = int(start, 16) >> 12
        pages = range(first, first + int(length))
        count = found.setdefault(name, [0, 0])
        count[0] += len(pages)
        count[1] += sum(flags[page] != scenarios_vtl.CLOSED for page in pages)
    for name, (pages, is_open) in sorted(found.items()):
        show(f"{name}: {pages} pages, {is_open} of them open to VTL0")
    if found["queues"][1] or found["data"][0] != found["data"][1]:
        raise vm.Failure("other pages are open to VTL0 than should be")


def last_save(guest):
    """The log's last line about a save, which the next kernel's dmesg has no more."""
    saves = re.findall(r"dma_pool_mgr: saved generation .* in \d+ us.*",
                       vm.read_log(guest.log))
    if not saves:
        raise vm.Failure("nothing is said of a save")
    return saves[-1]


def make_files(guest):
    run(guest, f"echo 'size=48M' | {nvme.tool('sfdisk')} -q {DISK}")
    run(guest, f"{nvme.tool('mke2fs')} -q -t ext4 {PARTITION} 2>&1 && mkdir -p /mnt && "
        f"mount -t ext4 {PARTITION} /mnt")
    guest.run("for i in 1 2 3 4 5 6 7 8; do head -c ${i}23456 /dev/urandom > "
              f"/mnt/file-$i; done; echo '{MARK.decode()}' > /mnt/text; "
              "cp /boot/vmlinuz /mnt/")
    run(guest, "cd /mnt && sha256sum file-* text vmlinuz > sums && cat sums")
    run(guest, "umount /mnt")


def change_file(disk):
    """Change a byte of a file, on the disk."""
    with open(disk, "r+b") as image:
        at = image.read().index(MARK)
        image.seek(at)
        image.write(b"t")


def expect_witness(bench, kexec):
    """What QEMU has seen of the controller since the kexec."""
    for what, names in (("starts", ["mmio_start_success"]), ("stops", ["mmio_stopped"]),
                        ("resets", ["pci_reset"]),
                        ("queues made", ["create_sq", "create_cq"]),
                        ("reads and writes", ["read", "write"]),
                        ("events posted", ["aer_post_cqe"])):
        show(f"{what}: " + str(sum(bench.count("pci_nvme_" + name, kexec)
                                   for name in names)))
    bench.expect_undisturbed(kexec)


def story(guest, bench, ram, between_kernels):
    guest.wait_ready()
    nvme.set_up(guest)
    tell("Up: stock kernel " + guest.run("uname -r").strip()
         + ", with some of its memory reserved:")
    show(steps.memmap(RANGES))
    tell("Loading the manager on it, with an emulated hypervisor:")
    run(guest, LOAD)
    tell("Loading the NVMe driver. It takes only what it is told to; it finds nothing "
         "from an earlier kernel, and starts the controller:")
    load_driver(guest)
    for table in ("pools", "clients", "buffers"):
        tell(f"debugfs, {steps.DEBUGFS}/{table}:")
        show(guest.run(f"cat {steps.DEBUGFS}/{table}"))
    tell("Its data pages are open to VTL0, its queues are not:")
    show_protections(guest, ram)
    tell("The disk gets a partition, a file system and files:")
    make_files(guest)

    tell("Loading the next kernel with dpmgr-kexec. The disk is kept busy; then the jump.")
    guest.run("dpmgr-kexec --reuse-cmdline --initrd=/boot/initrd /boot/vmlinuz")
    guest.run(f"while dd if={DISK} of=/dev/null bs=4k count=64 iflag=direct; do :; done "
              "> /dev/null 2>&1 &")
    kexec = bench.mark()
    console = len(vm.read_log(guest.log))
    guest.send("kexec -e")
    guest.wait_for_kernel(console)
    tell("The second kernel begins to boot. From outside, the disk gets a critical "
         "warning: an event for a driver that isn't there yet.")
    bench.warn("disk", 4)
    guest.wait_ready("the kernel after kexec")
    tell("What the first kernel logged of its reboot notifier, and the time spent there:")
    show(last_save(guest))

    between_kernels()
    tell("Up again. Loading the manager: it finds the saved state.")
    guest.run(LOAD)
    tell("Loading the driver: it takes the running controller over.")
    log = load_driver(guest)
    nvme.expect_taken_over(log)
    gap = bench.gap(kexec)
    nvme.wait_for_event(guest, log)
    tell("It has the event that came in between. Still only its data pages are open:")
    show_protections(guest, ram)
    nvme.set_up(guest)
    tell("Mounting the file system, and verifying every file:")
    guest.run("mkdir -p /mnt")
    run(guest, f"mount -t ext4 {PARTITION} /mnt && cd /mnt && sha256sum -c sums")
    run(guest, "umount /mnt")
    tell("What QEMU has seen of the controller since before the kexec:")
    expect_witness(bench, kexec)
    tell(f"From the last I/O before to the first after: {gap:.2f} s, with the boot of a "
         "kernel on an emulated CPU.")

    tell("A plain power-off: the controller is shut down as it should be.")
    end = bench.mark()
    guest.send("poweroff -f")
    guest.wait_end()
    if not bench.count("pci_nvme_mmio_shutdown_set", end):
        raise vm.Failure("the controller was not shut down")


def main():
    kernel_root, guest_root, build, *modules = sys.argv[1:]
    corrupt = modules[0] == "--corrupt"
    if corrupt:
        modules.pop(0)
    folder = os.path.join(build, "demo-corrupt" if corrupt else "demo")
    image = initramfs.build(kernel_root, guest_root, modules, folder)
    log = os.path.join(folder, "console.log")
    ram = os.path.join(folder, "ram")
    disk = nvme.Controller(folder, "disk", ("64M",))
    bench = nvme.Bench(folder, nvme.build_tools(guest_root, folder), [disk])

    def between_kernels():
        if corrupt:
            tell("Changing a byte of a file on the disk, from outside.")
            change_file(disk.files[0])

    tell("Booting Debian's kernel in QEMU, with an NVMe disk.")
    try:
        with vm.Guest(image, log, steps.memmap(RANGES), ram=ram,
                      devices=bench.devices) as guest:
            story(guest, bench, ram, between_kernels)
    except vm.Failure as failure:
        print(vm.read_log(log))
        print(f"The demo FAILED: {failure}\nThe guest's log is above, and in {log}")
        sys.exit(1)
    finally:
        os.remove(ram)
    tell("The demo succeeded.")


main()
