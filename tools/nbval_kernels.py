"""A pytest plugin for nbval: kernels are reached by files instead of ports, where the system has such sockets.

Each kernel's ports are looked for first and bound later. Two workers that start kernels at the same moment may find the
same ports, and then one kernel dies before its first cell.

Bets and scores of whoever works in this checkout stay out of it: the kernels remember in a temporary folder.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbval.kernel
from jupyter_client.manager import KernelManager


def manager(**options) -> KernelManager:
    """A kernel manager with sockets in a folder of its own."""
    return KernelManager(transport="ipc", ip=str(Path(tempfile.mkdtemp(prefix="kernel-"), "socket")), **options)


os.environ.setdefault("FACESEG_BETS", tempfile.mkdtemp(prefix="bets-"))
if sys.platform != "win32":
    nbval.kernel.KernelManager = manager
