# SPDX-License-Identifier: GPL-2.0-only
"""Runs the scenarios, two at a time, and counts their cases.

run.py KERNEL-ROOT GUEST-ROOT BUILD-FOLDER SCENARIO MODULE...
SCENARIO: the names of some, with commas, or "all"; "nvme" is all that begin with "nvme-".
"""

import concurrent.futures
import contextlib
import os
import shutil
import sys
import threading
import time
import traceback

import initramfs
import scenarios_dma  # noqa: F401 what is imported is registered
import scenarios_documents  # noqa: F401
import scenarios_iommu  # noqa: F401
import scenarios_nvme  # noqa: F401
import scenarios_nvme_cpus  # noqa: F401
import scenarios_nvme_failed  # noqa: F401
import scenarios_parameters  # noqa: F401
import scenarios_power  # noqa: F401
import scenarios_ranges  # noqa: F401
import scenarios_reclaim  # noqa: F401
import scenarios_samples  # noqa: F401
import scenarios_servicing  # noqa: F401
import scenarios_soak  # noqa: F401
import scenarios_vtl  # noqa: F401
import vm
from scenarios import SCENARIOS

PARALLEL = min(2, os.cpu_count() or 1)


class Test:
    """One scenario as it runs: its guests and its cases."""

    output_lock = threading.Lock()

    def __init__(self, name, image, folder, guest_root):
        self.name = name
        self.image = image
        self.guest_root = guest_root
        self.folder = os.path.join(folder, name)
        self.log = os.path.join(self.folder, "console.log")
        self.passed = 0
        self.failed = 0
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)

    def say(self, text):
        with self.output_lock:
            print(text, flush=True)

    def boot(self, append="", **more):
        """A guest, up and waiting for commands."""
        guest = vm.Guest(self.image, self.log, append, **more)
        try:
            guest.wait_ready()
        except BaseException:
            guest.__exit__()
            raise
        return guest

    def ram(self):
        """The path of a file to be a guest's memory."""
        return os.path.join(self.folder, "ram")

    def fail(self, what, why):
        self.failed += 1
        tail = "\n".join("    | " + line
                         for line in vm.read_log(self.log).splitlines()[-40:])
        self.say(f"FAILED {self.name}: {what}: {why}\n{tail}\n    | all of it: {self.log}")

    @contextlib.contextmanager
    def case(self, what, go_on=False):
        """One case, a sentence about behaviour. When it fails, so does the rest of
        the scenario, unless GO_ON: then only this case."""
        try:
            yield
        except vm.Failure as failure:
            self.fail(what, failure)
            if not go_on:
                raise Stop from failure
        else:
            self.passed += 1
            self.say(f"ok     {self.name}: {what}")

    def run(self, scenario):
        started = time.monotonic()
        try:
            scenario(self)
            if not self.passed + self.failed:
                self.fail("run", "it has no cases")
        except Stop:
            pass
        except vm.Failure as failure:
            self.fail("between cases", failure)
        except Exception:  # a mistake in a scenario must not stop the others
            self.fail("run", traceback.format_exc())
        # Kept only for as long as it is needed: it is a gigabyte.
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.ram())
        self.say(f"       {self.name}: {time.monotonic() - started:.0f} s")
        return self.passed, self.failed


class Stop(Exception):
    """The scenario can't go on; why has been said."""


def main():
    kernel_root, guest_root, build, wanted, *modules = sys.argv[1:]
    folder = os.path.join(build, "qemu")
    image = initramfs.build(kernel_root, guest_root, modules,
                            os.path.join(folder, "image"), ["mapped"])
    names = list(SCENARIOS) if wanted == "all" else wanted.split(",")
    # A family: those that have its name and more.
    names = [name for one in names for name in
             ([one] if one in SCENARIOS else
              [name for name in SCENARIOS if name.startswith(one + "-")] or [one])]
    if not SCENARIOS.keys() >= set(names):
        sys.exit(f"error: no scenario {wanted}; there are: " + " ".join(SCENARIOS))
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        tests = [pool.submit(Test(name, image, folder, guest_root).run, SCENARIOS[name])
                 for name in names]
        counts = [test.result() for test in tests]
    passed, failed = map(sum, zip(*counts))
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


main()
