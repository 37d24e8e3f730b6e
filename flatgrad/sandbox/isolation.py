"""What a process that runs homework may use and reach: limits, the layers that hold it, and what of it is real here."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass

from flatgrad.sandbox import landlock, linux, refusals, seccomp

# In the order in which they are put on. Each is for good; what a platform lacks is left out, and said.
LAYERS = ("limits", "seccomp", "network", "landlock", "capabilities", "hook")

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may use in its whole life. Sizes in bytes, times in seconds."""

    cpu: int = 600
    memory: int = 1024 * _MIB
    """Address space; the interpreter and NumPy take about 100 MiB of it."""
    file_size: int = 16 * _MIB
    open_files: int = 64
    answer: int = 64 * _MIB
    """The largest answer to one request."""
    startup: float = 60.0
    """Until the interpreter, NumPy and the service are loaded: 0.1 s, more on a machine with much else to do."""


def readable_paths(packages: Iterable[str]) -> tuple[str, ...]:
    """Where Python, its libraries and the `packages` folders are: all that homework may read.

    A project's own folder is not among them, and neither is /proc: homework must not read the solution, nor the
    environment of the process that judges it.
    """
    standard = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    libraries = [
        os.path.join(prefix, name) for prefix in (sys.base_prefix, sys.base_exec_prefix) for name in ("lib", "lib64")
    ]
    system = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/nix/store", "/System/Library"]
    single = ["/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache"]
    devices = [os.devnull, "/dev/zero", "/dev/random", "/dev/urandom"]
    found = [*standard, *sys.path, *packages, *libraries, *system, *single, *devices]
    return tuple(dict.fromkeys(os.path.realpath(path) for path in found if path and os.path.exists(path)))


def confine(limits: Limits, folder: str, packages: Iterable[str], layers: Iterable[str] = LAYERS) -> dict[str, int]:
    """Put the `layers` on this process, for good; the name of each and 1 (Landlock: its version) if it holds, else 0.

    `folder` is the one that may be written. Nothing is raised: what cannot be had is reported.
    """
    wanted = set(layers)
    held = dict.fromkeys(LAYERS, 0)
    readable = readable_paths(packages)
    if "limits" in wanted:
        held["limits"] = int(_limit(limits))
    if sys.platform == "linux":
        linux.no_new_privileges()
        if "landlock" in wanted:
            held["landlock"] = landlock.restrict(readable, (folder, os.devnull))
        # Before seccomp, which refuses the call. Where seccomp will do, the machine is spared a network to set up.
        if "network" in wanted and ("seccomp" not in wanted or not seccomp.available()):
            held["network"] = int(linux.leave_network())
        if "capabilities" in wanted:
            held["capabilities"] = int(linux.drop_capabilities())
        if "seccomp" in wanted:
            held["seccomp"] = int(seccomp.restrict())
    if "hook" in wanted:
        refusals.refuse(folder, readable)
        held["hook"] = 1
    return held


def _limit(limits: Limits) -> bool:
    """Set the resource limits, hard ones too; False where the platform refused one that it has."""
    import resource

    # The first of the two for processor time ends it with SIGXCPU, by which the reason is known; the second by force.
    table = {
        "RLIMIT_CPU": (limits.cpu, limits.cpu + 1),
        "RLIMIT_AS": (limits.memory, limits.memory),
        "RLIMIT_FSIZE": (limits.file_size, limits.file_size),
        "RLIMIT_NOFILE": (limits.open_files, limits.open_files),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_MEMLOCK": (0, 0),
        "RLIMIT_MSGQUEUE": (0, 0),
        # No process and no thread. Root is not bound by this one: see seccomp.py.
        "RLIMIT_NPROC": (0, 0),
    }
    done = True
    for name, (soft, hard) in table.items():
        which = getattr(resource, name, None)
        if which is None:
            continue
        ceiling = resource.getrlimit(which)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        try:
            resource.setrlimit(which, (soft, hard))
        except (OSError, ValueError):
            done = False
    return done
