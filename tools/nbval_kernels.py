"""A pytest plugin for nbval: kernels are reached by files instead of ports, where the system has such sockets.

Each kernel's ports are looked for first and bound later. Two workers that start kernels at the same moment may find the
same ports, and then one kernel dies before its first cell.
"""

import sys
import tempfile
from pathlib import Path

import nbval.kernel
from jupyter_client.manager import KernelManager


def manager(**options) -> KernelManager:
    """A kernel manager with sockets in a folder of its own."""
    return KernelManager(transport="ipc", ip=str(Path(tempfile.mkdtemp(prefix="kernel-"), "socket")), **options)


if sys.platform != "win32":
    nbval.kernel.KernelManager = manager
