"""What homework is kept from on this machine, row by row, and by what."""

from __future__ import annotations

import os
import sys

from flatgrad.sandbox.process import WORKER, Sandbox


def describe() -> list[tuple[str, bool, str]]:
    """What homework is kept from on this machine: (what, whether the system enforces it, how).

    A process is confined as for homework, and asked which layers hold. Raises SandboxFailure if there can be none.
    """
    with Sandbox(WORKER.with_name("__init__.py")) as box:
        return table(box.held, sys.platform, os.getuid())


def table(held: dict[str, int], platform: str, user: int) -> list[tuple[str, bool, str]]:
    """The rows of `describe`, for the layers that hold (see `isolation.confine`), a platform and a user id."""
    on_linux = platform == "linux"
    limits, filtered, files = bool(held["limits"]), bool(held["seccomp"]), held["landlock"]
    only_hook = "only Python's audit hook refuses it, which machine code gets round"
    few = filtered or (limits and user != 0)
    network = "seccomp refuses sockets" if filtered else "a network namespace without interfaces"
    processes = "seccomp refuses them" if filtered else "the limit on processes is 0"
    return [
        ("time of a call", True, "after its time the process and its group are killed, whatever they do"),
        ("processor time", limits, "a limit of the system (RLIMIT_CPU) on the whole run"),
        (
            "memory",
            limits and on_linux,
            "a limit of the system (RLIMIT_AS)" if on_linux else "this system does not enforce its limit (RLIMIT_AS)",
        ),
        ("size of a file, open files", limits, "limits of the system (RLIMIT_FSIZE, RLIMIT_NOFILE)"),
        ("new processes and threads", few, processes if few else f"{only_hook}; root is not bound by RLIMIT_NPROC"),
        (
            "signals to other processes",
            filtered or files >= 6,
            "seccomp refuses them" if filtered else "Landlock refuses them" if files >= 6 else only_hook,
        ),
        ("network", filtered or bool(held["network"]), network if filtered or held["network"] else only_hook),
        (
            "writing files",
            files > 0,
            "Landlock: only an empty folder that is removed afterwards" if files else only_hook,
        ),
        ("reading files", files > 0, "Landlock: only Python and the system's libraries" if files else only_hook),
        (
            "privileges",
            bool(held["capabilities"]) or user != 0,
            "no capabilities, and none to be gained"
            if held["capabilities"]
            else "an ordinary user's"
            if user != 0
            else "homework runs as root: use an ordinary user",
        ),
        ("environment", True, "a fresh interpreter with an empty environment"),
        ("input and output", True, "nothing to read; what is printed goes nowhere"),
        (
            "the measurement itself",
            False,
            "homework shares an interpreter with the code that measures it: code written to deceive it can, "
            "but gains nothing beyond its own verdict",
        ),
    ]
