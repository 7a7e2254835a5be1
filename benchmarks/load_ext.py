"""What ``%load_ext cozeloop_magic`` adds to IPython's start: the ratio of two programs, run in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 15
PROGRAMS = {"pass": "pass", "load_ext": "%load_ext cozeloop_magic"}


def seconds(code: str) -> float:
    """Time one fresh IPython with a profile of its own."""
    with tempfile.TemporaryDirectory() as profile:
        command = [sys.executable, "-m", "IPython", "--no-banner", "--quick", f"--ipython-dir={profile}", "-c", code]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started


def main() -> None:
    for code in PROGRAMS.values():
        seconds(code)  # warm the file cache
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, code in PROGRAMS.items():
            times[name].append(seconds(code))
    bare, loaded = (statistics.median(times[name]) for name in PROGRAMS)
    print(f'ipython -c "pass"                       {bare:.3f} s')
    print(f'ipython -c "%load_ext cozeloop_magic"   {loaded:.3f} s')
    print(f"ratio {loaded / bare:.2f} (at most 1.25)")


if __name__ == "__main__":
    main()
