# SPDX-License-Identifier: GPL-2.0-only
"""Builds the guest's initramfs: busybox, the real modprobe and kexec with their
libraries, our modules with all that they depend on, and scripts/dpmgr-kexec.

It also has, in /boot, what the next kernel is made of: the stock kernel, and a link
to this very archive, which a kernel booted with "retain_initrd" keeps. So a chain of
kexecs goes on for as long as somebody wants.
"""

import gzip
import lzma
import os
import shutil
import stat
import subprocess

# What no dependency of ours names: scenarios use them.
MORE_MODULES = ["ramoops", "i6300esb", "virtio_pci", "virtio_blk", "ext4", "nvme",
                "pci-stub"]

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))


def write_cpio(out, root):
    """Archive the folder ROOT in cpio's newc format, with a /dev/console."""

    def member(name, mode, data=b"", device=(0, 0)):
        name = name.encode() + b"\0"
        fields = [member.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device,
                  len(name), 0]
        member.inode += 1
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        out.write(head + bytes(-len(head) % 4))
        out.write(data)
        out.write(bytes(-len(data) % 4))

    member.inode = 1
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            full = os.path.join(folder, name)
            inside = os.path.relpath(full, root)
            mode = os.lstat(full).st_mode
            if stat.S_ISLNK(mode):
                member(inside, mode, os.readlink(full).encode())
            elif stat.S_ISDIR(mode):
                member(inside, mode)
            else:
                with open(full, "rb") as data:
                    member(inside, mode, data.read())
    if os.path.isdir(os.path.join(root, "dev")):
        member("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    member("TRAILER!!!", 0)


def install(source, root, target, mode=0o755):
    target = os.path.join(root, target)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, mode)


def unpack_xz(path):
    """The guest's kernel is slow at this, so it is done here."""
    if path.endswith(".xz"):
        with lzma.open(path) as packed, open(path[:-len(".xz")], "wb") as out:
            shutil.copyfileobj(packed, out)
        os.remove(path)


def install_program(guest_root, root, path):
    """Copy a program and the libraries that it needs from the guest's packages."""
    libraries = [os.path.join(guest_root, folder, "x86_64-linux-gnu")
                 for folder in ("lib", "usr/lib")]
    # Where fio's are that are nobody else's.
    libraries.append(os.path.join(libraries[1], "ceph"))
    loader = os.path.join(libraries[0], "ld-linux-x86-64.so.2")
    needed = subprocess.run(
        [loader, "--library-path", ":".join(libraries), "--list",
         os.path.join(guest_root, path)],
        check=True, text=True, capture_output=True).stdout
    install(os.path.join(guest_root, path), root, path)
    install(loader, root, "lib64/ld-linux-x86-64.so.2")
    for line in needed.splitlines():
        if "=> /" in line:
            library = line.split()[2]
            install(library, root, "lib/" + os.path.basename(library))


def compile_program(name, root):
    """Compile one of our own. It is static, so that any C library of the host will do."""
    subprocess.run(["gcc-12", "-static", "-s", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-o", os.path.join(root, "usr/bin", name),
                    os.path.join(HERE, "user", name + ".c")], check=True)


def install_modules(kernel_root, modules, root):
    """Copy our modules and everything they depend on; index them for modprobe."""
    release = os.path.basename(kernel_root)
    source = os.path.join(kernel_root, "lib/modules", release)
    names = list(MORE_MODULES)
    for module in modules:
        install(module, root,
                f"lib/modules/{release}/updates/{os.path.basename(module)}", 0o644)
        depends = subprocess.run(["modinfo", "-F", "depends", module], check=True,
                                 text=True, capture_output=True).stdout
        names += depends.replace(",", " ").split()
    ours = {os.path.basename(module)[:-len(".ko")] for module in modules}
    for name in names:
        if name in ours:
            continue
        lines = subprocess.run(
            ["modprobe", "-d", kernel_root, "-S", release, "--show-depends", name],
            check=True, text=True, capture_output=True).stdout
        for line in lines.splitlines():
            if line.startswith("insmod "):
                path = line.split()[1]
                target = os.path.relpath(path, kernel_root)
                install(path, root, target, 0o644)
                unpack_xz(os.path.join(root, target))
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        install(os.path.join(source, index), root,
                f"lib/modules/{release}/{index}", 0o644)
    subprocess.run(["depmod", "-b", root, release], check=True)


def build(kernel_root, guest_root, modules, folder, programs=()):
    """Build the archive in FOLDER, with PROGRAMS of user/; return the paths of the kernel
    and of it."""
    release = os.path.basename(kernel_root)
    kernel = os.path.join(kernel_root, "boot", "vmlinuz-" + release)
    archive = os.path.join(folder, "initrd")
    shutil.rmtree(folder, ignore_errors=True)

    root = os.path.join(folder, "root")
    os.makedirs(os.path.join(root, "dev"))
    install(os.path.join(HERE, "init"), root, "init")
    install(os.path.join(TOP, "scripts/dpmgr-kexec"), root, "usr/sbin/dpmgr-kexec")
    install(os.path.join(guest_root, "bin/busybox"), root, "bin/busybox")
    install_program(guest_root, root, "bin/kmod")
    install_program(guest_root, root, "sbin/kexec")
    os.mkdir(os.path.join(root, "usr/bin"))
    for applet in ("modprobe", "rmmod", "insmod", "lsmod", "modinfo"):
        os.symlink("/bin/kmod", os.path.join(root, "sbin", applet))
    for name in programs:
        compile_program(name, root)
    install_modules(kernel_root, modules, root)

    # Not packed a second time: the guest's kernel is slow at this too.
    boot = os.path.join(folder, "boot")
    install(kernel, boot, "boot/vmlinuz", 0o644)
    os.symlink("/sys/firmware/initrd", os.path.join(boot, "boot/initrd"))
    with open(archive, "wb") as out:
        with gzip.open(out, "wb", compresslevel=1) as packed:
            write_cpio(packed, root)
        out.write(bytes(-out.tell() % 4))
        write_cpio(out, boot)
    return kernel, archive
