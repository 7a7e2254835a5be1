"""Jupyter kernels that the tests run, each with a home of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel


@contextmanager
def running_kernel(home: Path) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """Start a kernel that keeps what it keeps below `home`, and end it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COZELOOP_")}
    manager, client = start_new_kernel(kernel_name="python3", env=environ | {"COZELOOP_MAGIC_HOME": str(home)})
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
