"""What is said of the isolation is so: on this machine by trying it, on others by the layers that they have."""

from __future__ import annotations

import platform
import sys

import numpy as np
import pytest

from flatgrad.sandbox import isolation, protection, refusals, seccomp
from flatgrad.sandbox.isolation import LAYERS, Limits
from flatgrad.sandbox.process import Sandbox, packages
from tests.sandbox.support import SERVICE, on_linux

# For each row what shows it, past Python's own refusals: an expression that is true where homework gets through.
TRIED = {
    "processor time": "resource.getrlimit(resource.RLIMIT_CPU)[1] > 700",
    "memory": "works(lambda: bytearray(2 * 2**30))",
    "size of a file, open files": "works(lambda: open('a', 'wb').write(b'x' * 2**26))",
    "new processes and threads": "child()",
    "signals to other processes": "works(lambda: os.kill(os.getppid(), 0))",
    "network": "works(lambda: socket.create_connection(('127.0.0.1', port), 1))",
    "writing files": "works(lambda: open(place, 'w'))",
    "reading files": "works(lambda: open('/etc/passwd'))",
    "environment": "'SECRET' in os.environ",
}
HELPERS = """
import os, resource, socket
def works(action):
    try:
        action()
    except (OSError, MemoryError):
        return False
    return True
def child():
    try:
        if os.fork() == 0: os._exit(0)
    except OSError:
        return False
    return True
"""
KERNEL = tuple(layer for layer in LAYERS if layer != "hook")


@pytest.mark.parametrize("what", TRIED)
def test_the_description_is_true_here(what: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setenv("SECRET", "s")
    isolated = {row: enforced for row, enforced, _ in protection.describe()}
    with socket.create_server(("127.0.0.1", 0)) as server, Sandbox(SERVICE, layers=KERNEL) as box:
        names = f"port, place = {server.getsockname()[1]}, {str(tmp_path) + '/place'!r}\n"
        reply, _ = box.call({"code": f"{HELPERS}{names}value = {TRIED[what]}"}, {}, 60.0)
    assert reply["error"] == ""
    assert isolated[what] is not reply["value"]


def test_each_row_says_how() -> None:
    rows = protection.describe()
    assert len({what for what, _, _ in rows}) == len(rows) == 13
    assert all((how and how[0].islower()) or how.startswith(("Landlock", "RLIMIT")) for _, _, how in rows)
    assert rows[-1][:2] == ("the measurement itself", False)


def layers(**held: int) -> dict[str, int]:
    return dict.fromkeys(LAYERS, 0) | {"limits": 1, "hook": 1} | held


def enforced(held: dict[str, int], system: str, user: int) -> set[str]:
    return {what for what, is_enforced, _ in protection.table(held, system, user) if is_enforced}


ALWAYS = {"time of a call", "environment", "input and output", "processor time", "size of a file, open files"}


def test_the_description_of_other_machines() -> None:
    best = protection.table(layers(seccomp=1, landlock=7, capabilities=1), "linux", 0)
    assert [what for what, is_enforced, _ in best if not is_enforced] == ["the measurement itself"]
    assert enforced(layers(), "darwin", 501) == ALWAYS | {"new processes and threads", "privileges"}
    assert enforced(layers(), "linux", 0) == ALWAYS | {"memory"}
    bare = ALWAYS | {"memory", "privileges", "new processes and threads"}
    assert enforced(layers(capabilities=1), "linux", 1000) == bare
    assert enforced(layers(capabilities=1, network=1), "linux", 1000) == bare | {"network"}
    assert enforced(layers(capabilities=1, landlock=3), "linux", 1000) == bare | {"writing files", "reading files"}
    most = bare | {"network", "signals to other processes"}
    assert enforced(layers(capabilities=1, seccomp=1), "linux", 0) == most
    assert enforced(layers(capabilities=1, seccomp=1, landlock=1), "linux", 0) == most | {
        "writing files",
        "reading files",
    }


def test_what_is_not_isolated_says_so_in_words() -> None:
    for what, is_enforced, how in protection.table(layers(), "linux", 0):
        if what in ("network", "writing files", "reading files", "signals to other processes"):
            assert not is_enforced
            assert "audit hook" in how
    memory = next(how for what, _, how in protection.table(layers(), "darwin", 501) if what == "memory")
    assert "does not enforce" in memory


@on_linux
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no numbers of calls for this machine")
def test_linux_holds_more_than_python() -> None:
    with Sandbox(SERVICE) as box:
        assert box.held["limits"] == box.held["capabilities"] == box.held["hook"] == 1
        assert box.held["seccomp"] or box.held["network"]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_well_formed(machine: str) -> None:
    """Every jump lands within the program, which ends by deciding."""
    import struct

    code = seccomp.program(machine, 1234)
    lines = list(struct.iter_unpack("=HBBI", code))
    assert len(lines) < 4096
    assert lines[-1][0] == lines[-2][0] == 0x06
    for place, (operation, yes, no, _) in enumerate(lines):
        if operation & 0x07 == 0x05:
            assert place + 1 + max(yes, no) < len(lines)


def decide(machine: str, call: int, *arguments: int, process: int = 1234) -> bool:
    """Whether the filter lets a call through: a small interpreter of what it is written in."""
    import struct

    architecture = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", call, architecture, 0, *padded)
    lines = list(struct.iter_unpack("=HBBI", seccomp.program(machine, process)))
    place, value = 0, 0
    while True:
        operation, yes, no, constant = lines[place]
        place += 1
        if operation == 0x06:
            return bool(constant == 0x7FFF0000)
        if operation == 0x20:
            value = struct.unpack_from("=I", data, constant)[0]
        else:
            place += yes if (value == constant if operation == 0x15 else value >= constant) else no


# The numbers of the kernel's own tables (x86_64, aarch64).
@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_the_filter_decides_by_call_and_argument(machine: str, column: int) -> None:
    for refused in ((41, 198), (56, 220), (435, 435), (59, 221), (101, 117), (200, 130), (425, 425), (160, 164)):
        assert not decide(machine, refused[column])
    for allowed in ((0, 63), (1, 64), (3, 57), (9, 222), (11, 215), (12, 214), (257, 56), (231, 94), (228, 113)):
        assert decide(
            machine, allowed[column]
        )  # read, write, close, mmap, munmap, brk, openat, exit_group, clock_gettime
    kill, group_kill, limit, control = (62, 129)[column], (234, 131)[column], (302, 261)[column], (72, 25)[column]
    assert decide(machine, kill, 1234, 9)
    assert not decide(machine, kill, 1233, 9)
    assert not decide(machine, kill, 2**32 - 1, 9)
    assert decide(machine, group_kill, 1234, 1234, 6)
    assert not decide(machine, group_kill, 1, 1, 6)
    assert decide(machine, limit, 0, 7, 0)
    assert not decide(machine, limit, 0, 7, 0x7F00_0000_0000)
    assert not decide(machine, limit, 0, 7, 8)
    assert decide(machine, control, 3, 1)
    assert decide(machine, control, 3, 1030)
    for command in (8, 10, 15):
        assert not decide(machine, control, 3, command)
    assert not decide(machine, 470)


def test_homework_reads_no_own_files_of_people() -> None:
    paths = isolation.readable_paths(packages())
    assert all(path not in ("/", "/home", "/root", "/etc", "/proc", "/usr", "/tmp") for path in paths)
    assert any(np.__file__.startswith(path) for path in paths)
    assert any(sys.modules["json"].__file__.startswith(path) for path in paths)  # type: ignore[union-attr]


def test_limits_are_those_asked_for() -> None:
    names = ("CPU", "FSIZE", "NOFILE", "CORE")
    code = f"import resource as r; value = [r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in {names}]"
    with Sandbox(SERVICE, Limits(cpu=77, file_size=4096, open_files=33)) as box:
        assert box.call({"code": code}, {}, 30.0)[0]["value"] == [[77, 78], [4096, 4096], [33, 33], [0, 0]]


def test_every_event_is_refused_by_name() -> None:
    hook = refusals._hook("/tmp", ())
    for event in ("socket.connect", "os.system", "ctypes.dlopen", "os.fork", "sys.addaudithook", "winreg.OpenKey"):
        with pytest.raises(PermissionError, match=event):
            hook(event, ())
    for event in ("import", "object.__getattr__", "socketless", "os.walk", "builtins.id", "gc.get_objects"):
        hook(event, ())
