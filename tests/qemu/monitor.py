# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's monitor."""

import json
import os
import socket

import watchdog
from vm import Failure


class Monitor:
    """One QEMU's: ARGUMENTS are for its command line."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "qmp")
        if os.path.exists(self.path):
            os.remove(self.path)
        self.arguments = ["-qmp", f"unix:{self.path},server=on,wait=off"]
        self.connection = None

    def qmp(self, command, **arguments):
        """Run a command of QEMU's; return what it returns."""
        if not self.connection:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.path)
            connection.settimeout(watchdog.SILENCE)
            self.connection = connection.makefile("rw")
            self.connection.readline()
            self.qmp("qmp_capabilities")
        json.dump({"execute": command, "arguments": arguments}, self.connection)
        self.connection.write("\n")
        self.connection.flush()
        while True:
            answer = json.loads(self.connection.readline())
            if "error" in answer:
                raise Failure(f"QEMU: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def human(self, line):
        """Run a line of the monitor for humans, which must say nothing."""
        output = self.qmp("human-monitor-command", **{"command-line": line})
        if output.strip():
            raise Failure(f"QEMU: {line}: {output}")
