#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Decides when a guest is dead: when it has said nothing for long. How long it has run
doesn't count, since on a slow or busy machine everything takes longer.

watchdog.py FILE... -- COMMAND...: run COMMAND, and end it when it is dead. FILEs: where
its output lands. Without any, its standard output counts, which is passed on. The exit
status is the command's; if it was dead, DEAD, and standard error says why and quotes
each file's last lines.

watchdog.py --parameters: print the kernel parameters that each guest needs.

GUEST_SILENCE in the environment: seconds of silence that are allowed, SILENCE if unset.
"""

import os
import select
import subprocess
import sys
import time

# KUnit allows a case 300 seconds, in which it may say nothing.
SILENCE = 600

# A guest that prints for ever is not silent. It ends when it has printed so many bytes.
MOST_OUTPUT = 64 << 20

# One that prints a line now and then, for ever, ends after so many seconds.
LIFE = 24 * 3600

# Seconds from one look to the next.
INTERVAL = 1

# The exit status of timeout(1).
DEAD = 124

LAST_LINES = 20

# What makes a guest's kernel give up, or complain, when the machine is busy is off: the
# check of its timer, and the detectors of lockups, RCU stalls, stuck workqueues and hung
# tasks. The last has no parameter that the kernel reads before it runs built-in KUnit
# suites. A guest that hangs is silent then, and that is found here.
PARAMETERS = ("no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1 "
              "workqueue.watchdog_thresh=0 initcall_blacklist=hung_task_init")


def size(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def last_lines(path):
    """The last lines of a file that may be long."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, size(path) - LAST_LINES * 200))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-LAST_LINES:]


class Watchdog:
    """Watches one guest."""

    def __init__(self, paths, life=LIFE, clock=time.monotonic):
        """PATHS: the files where its output lands; LIFE: see above."""
        self.paths = paths
        self.life = life
        self.clock = clock
        self.allowed = float(os.environ.get("GUEST_SILENCE") or SILENCE)
        self.looked_at = clock()
        self.sizes = self._sizes()
        self.lived = 0
        self.silent = 0
        self.printed = 0

    def _sizes(self):
        return [size(path) for path in self.paths]

    def heard(self, length=0):
        """It has said so many bytes elsewhere than in the files, or has been told to do
        something else: its silence begins anew."""
        self.silent = 0
        self.printed += length

    def verdict(self):
        """Why it is dead, or None. Call this once in each INTERVAL that counts. A call
        that comes late counts as two in time: meanwhile nobody has watched, or the
        machine stood still."""
        now = self.clock()
        passed = min(now - self.looked_at, 2 * INTERVAL)
        self.looked_at = now
        self.lived += passed
        self.silent += passed
        sizes = self._sizes()
        if sizes != self.sizes:
            self.heard(max(0, sum(sizes) - sum(self.sizes)))
            self.sizes = sizes
        if self.silent >= self.allowed:
            return f"it has been silent for {self.silent:.0f} s"
        if self.printed >= MOST_OUTPUT:
            return f"it has printed {self.printed} bytes, and goes on"
        if self.lived >= self.life:
            return f"it has lived for {self.lived:.0f} s"
        return None


def pass_on(source):
    """Wait for output for an INTERVAL, and pass it on; return its length, or None at
    its end."""
    if not select.select([source], [], [], INTERVAL)[0]:
        return 0
    data = os.read(source.fileno(), 1 << 16)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return len(data) or None


def watch(process, paths):
    """Wait until PROCESS has ended; return None, or why it is dead."""
    caller = os.getppid()
    watchdog = Watchdog(paths)
    is_open = process.stdout is not None
    while process.poll() is None:
        if is_open:
            length = pass_on(process.stdout)
            is_open = length is not None
            if length:
                watchdog.heard(length)
        else:
            try:
                process.wait(INTERVAL)
                break
            except subprocess.TimeoutExpired:
                pass
        why = watchdog.verdict()
        if why:
            return why
        if os.getppid() != caller:
            return "its caller has ended"
    while is_open and pass_on(process.stdout):
        pass
    return None


def run(paths, command):
    """Run COMMAND until it ends or is dead; return an exit status."""
    # The command ends with this process, whatever ends it.
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command],
                               stdout=None if paths else subprocess.PIPE)
    try:
        why = watch(process, paths)
    finally:
        process.kill()
        process.wait()
    if not why:
        return process.returncode if process.returncode >= 0 else 128 - process.returncode
    print(f"{os.path.basename(command[0])} was ended: {why}.", file=sys.stderr)
    for path in paths:
        print(f"The end of {path}:", *last_lines(path), sep="\n", file=sys.stderr)
    return DEAD


def main():
    if sys.argv[1:] == ["--parameters"]:
        print(PARAMETERS)
        return 0
    split = sys.argv.index("--")
    return run(sys.argv[1:split], sys.argv[split + 1:])


if __name__ == "__main__":
    sys.exit(main())
