# SPDX-License-Identifier: GPL-2.0-only
"""A guest on the stock kernel in QEMU, driven from the host.

The console goes to a log file. Commands go over a second serial port to the
guest's init, which runs them one at a time and sends back their output: so the
guest does nothing that the host hasn't asked for, and stands still while the host
looks at its memory or changes it.

While the host waits, the guest is watched: it may take any time, but not be silent for
long (watchdog.py). Nothing here has another limit of time.
"""

import base64
import hashlib
import os
import re
import select
import signal
import socket
import subprocess
import time

import watchdog

FIFO_CHARACTERS = 16

# Seconds from one look at what a guest does to the next.
LOOK = 0.05

SPLAT = re.compile(
    r"WARNING: |BUG: |BUG kmalloc|Oops|Call Trace:|Kernel panic|UBSAN:|"
    r"general protection fault|unable to handle|possible circular locking|"
    r"possible recursive locking|inconsistent lock state|"
    r"refcount_t: |list_add corruption|list_del corruption")
# The module says where a driver is that takes long; a slow machine's do.
ASKED_FOR = re.compile(r"has not returned for \d+ s; it is here:.*?</TASK>", re.S)


class Failure(Exception):
    """Something is not as it should be; the text says what."""


def read_log(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return log.read()
    except FileNotFoundError:
        return ""


class Guest:
    """One QEMU. Use as a context manager: it is gone when the block ends."""

    def __init__(self, image, log, append="", memory="1G", ram=None, devices=(),
                 cpus=2, accel="tcg,thread=single", alias_bit=None,
                 life=watchdog.LIFE):
        """IMAGE: (kernel, initrd); LOG: the console's log, appended to; RAM: a
        file to be the guest's memory, shared with us and kept; DEVICES: more
        arguments for QEMU; ALIAS_BIT: RAM, a file then, also answers at its
        addresses with this bit, as shared memory does on a confidential VM; LIFE:
        seconds for which it may be waited, whatever it does: there is always such a limit,
        and a slow machine must not reach it."""
        self.log = log
        self.log_start = len(read_log(log))
        self.expected_splats = 0
        self.agent, theirs = socket.socketpair()
        # One thread for all virtual CPUs, unless somebody knows better: with a
        # thread for each, QEMU 7.2 may run a breakpoint that the kernel, patching
        # its code, has already removed.
        accel = os.environ.get("QEMU_ACCEL", accel)
        arguments = [
            # It ends with the thread that starts it.
            "setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic",
            "-no-reboot", "-accel", accel, "-smp", str(cpus),
            "-chardev", f"file,id=console,path={log},append=on",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,fd={theirs.fileno()}",
            "-serial", "chardev:agent",
            "-kernel", image[0], "-initrd", image[1],
        ]
        machine = "q35"
        cpu = "host" if accel == "kvm" else "max"
        slots = ""
        if ram:
            machine += ",memory-backend=ram"
            arguments += ["-object", "memory-backend-file,id=ram,share=on,"
                          f"size={memory},mem-path={ram}"]
        if alias_bit:
            # To the kernel it is a DIMM, which it must not take into use.
            append += " acpi_no_memhotplug"
            cpu += ",phys-bits=46"
            slots = ",slots=1,maxmem=2T"
            arguments += ["-object", "memory-backend-file,id=alias,share=on,"
                          f"size={memory},mem-path={ram}",
                          "-device", f"pc-dimm,memdev=alias,addr={1 << alias_bit:#x}"]
        arguments += ["-machine", machine, "-cpu", cpu, "-m", memory + slots,
                      "-append", f"console=ttyS0 panic=-1 retain_initrd {watchdog.PARAMETERS} {append}",
                      *devices]
        self.process = subprocess.Popen(
            arguments, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        theirs.close()
        self.pending = b""
        self.watchdog = watchdog.Watchdog([log], life)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.agent.close()
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def _expect_alive(self, what):
        """The guest may still do WHAT it is waited for."""
        if self.process.poll() is not None:
            self.check_log()
            error = self.process.stderr.read().strip()
            raise Failure(f"{what}: QEMU ended {error}")
        why = self.watchdog.verdict()
        if why:
            self.check_log()
            raise Failure(f"{what}: the guest is dead: {why}")

    def _receive(self, enough, what):
        """Read from the agent until ENOUGH(pending) says where to cut."""
        self.watchdog.heard()
        while True:
            end = enough(self.pending)
            if end is not None:
                data, self.pending = self.pending[:end], self.pending[end:]
                return data
            if select.select([self.agent], [], [], watchdog.INTERVAL)[0]:
                data = self.agent.recv(65536)
                if not data:
                    self.process.wait()
                self.pending += data
                self.watchdog.heard(len(data))
            self._expect_alive(what)

    def _line(self, what):
        def end_of_line(data):
            return data.index(b"\n") + 1 if b"\n" in data else None
        return self._receive(end_of_line, what).decode().strip()

    def wait_ready(self, what="boot"):
        """Wait until a kernel is up and its init waits for commands."""
        # Firmware and early kernels may say something on the port as well.
        while not self._line(what).endswith("ready"):
            pass

    def wait_until(self, happens, what, interval=LOOK):
        """Wait until HAPPENS(), which looks at the guest from outside, is true, and look
        every INTERVAL. WHAT: what is waited for."""
        self.watchdog.heard()
        while not happens():
            self._expect_alive(what)
            time.sleep(interval)

    def wait_for_kernel(self, start):
        """Wait until the next kernel has begun, by the console from START on."""
        self.wait_until(lambda: "Linux version" in read_log(self.log)[start:],
                        "the next kernel")

    def send(self, command):
        """Start COMMAND and don't wait: for what ends this kernel."""
        line = base64.b64encode(command.encode()) + b"\n"
        # So many empty lines that one is left when a FIFO of characters is lost.
        message = (hashlib.md5(line).hexdigest().encode() + b" " + line +
                   b"\n" * FIFO_CHARACTERS)
        self.agent.sendall(message)
        while (answer := self._line(command)) != "taken":
            if answer != "again":
                raise Failure(f"{command}: the guest's init says {answer!r}")
            self.agent.sendall(message)

    def try_run(self, command):
        """Run COMMAND in the guest's shell; return (exit status, output)."""
        self.send(command)
        return self.answer(command)

    def answer(self, command):
        """What try_run() returns, of COMMAND, which was sent."""
        status, length = map(int, self._line(command).split())
        output = self._receive(
            lambda data: length if len(data) >= length else None, command)
        self.check_log()
        return status, output.decode(errors="replace")

    def run(self, command):
        """Run COMMAND, which must succeed; return its output."""
        status, output = self.try_run(command)
        if status:
            raise Failure(f"{command}: exit status {status}: {output.strip()}")
        return output

    def wait_for(self, condition):
        """Wait until CONDITION, a command for the guest's shell, is true."""
        self.run(f"until {condition}; do sleep 0.1; done")

    def dmesg(self, level=7):
        """The kernel's messages since the last call, of LEVEL and below, without
        time stamps."""
        messages = re.findall(r"^<(\d+)>\[[^]]*\] (.*)$", self.run("dmesg -r -c"), re.M)
        return "".join(text + "\n" for number, text in messages
                       if int(number) & 7 <= level)

    def _splats(self):
        log = ASKED_FOR.sub(lambda match: match[0].replace("Call Trace:", ""),
                            read_log(self.log)[self.log_start:])
        return [line for line in log.splitlines() if SPLAT.search(line)]

    def check_log(self):
        """Fail if the kernel has complained, more often than was expected."""
        splats = self._splats()
        if len(splats) > self.expected_splats:
            raise Failure("kernel: " + splats[self.expected_splats].strip())

    def forgive_log(self):
        """What the kernel has complained about up to here was asked for."""
        self.expected_splats = len(self._splats())

    def wait_end(self, what="power off"):
        """Wait until QEMU has ended by itself."""
        try:
            self._receive(lambda data: None, what)
        except Failure:
            if self.process.poll() is None:
                raise
        if self.process.returncode:
            raise Failure(f"{what}: QEMU's exit status is {self.process.returncode}")
        self.check_log()

    def kill(self):
        """Cut its power: SIGKILL to QEMU, wherever it is, also if it stands still."""
        self.process.kill()
        self.process.wait()

    def stand_still(self):
        """Stop the whole machine between two instructions."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def power_off(self):
        self.send("poweroff -f")
        self.wait_end()
