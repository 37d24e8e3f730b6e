"""What the interpreter itself refuses homework: an audit hook, which cannot be removed.

The refusal is a PermissionError where the homework asked, so that it ends as any other error of the homework does,
with its line. Machine code that gets in (by memory that NumPy lets one overwrite) is not held by this, but by what the
kernel was told: see landlock.py and seccomp.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

# Events by what they would do. Whole families of events end in a dot.
_REFUSED = {
    "the network": ("socket.",),
    "another process": (
        "os.fork", "os.forkpty", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "os.startfile", "os.startfile/2",
        "subprocess.Popen", "pty.spawn",
    ),
    "a thread": ("_thread.start_new_thread", "_thread.start_joinable_thread"),
    "a signal to a process": ("os.kill", "os.killpg", "signal.pthread_kill"),
    "machine code": ("ctypes.",),
    "tracing": ("sys.settrace", "sys.setprofile"),
    "a limit": ("resource.setrlimit", "resource.prlimit"),
    "the system's log": ("syslog.",),
    "an audit hook": ("sys.addaudithook",),
    "a debugger": ("cpython.remote_debugger_script", "sys.remote_exec"),
    "the registry": ("winreg.", "_winapi."),
    "a link or the owner, mode or time of a file": (
        "os.link", "os.symlink", "os.chmod", "os.chown", "os.chflags", "os.lchflags", "os.utime", "os.setxattr",
        "os.removexattr",
    ),
}  # fmt: skip
_EVENTS = {event: what for what, events in _REFUSED.items() for event in events}
_FAMILIES = frozenset(event[:-1] for event in _EVENTS if event.endswith("."))

# Which arguments of an event are paths that it changes, where the folder's descriptor is, if there is one, and how many
# more files there are afterwards.
_CHANGES = {
    "os.mkdir": ((0,), 2, 1),
    "os.remove": ((0,), 1, -1),
    "os.rmdir": ((0,), 1, -1),
    "os.rename": ((0, 1), 2, 0),
    "os.truncate": ((0,), None, 0),
}
_COMMON = frozenset({"object.__getattr__", "builtins.id", "sys._getframe", "import", "compile", "exec"})
_OF_A_FUNCTION = frozenset({"__code__", "__defaults__", "__kwdefaults__"})
_READS = frozenset({"os.listdir", "os.scandir"})
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MADE = 1000


def refuse(folder: str, readable: tuple[str, ...]) -> None:
    """From here on refuse what the table says, reading outside `readable` and `folder`, writing outside `folder`.

    At most 1000 files and folders are made: each has a bounded size, and so all have.
    """
    sys.addaudithook(_hook(os.path.realpath(folder), tuple(os.path.realpath(path) for path in readable)))


def _hook(folder: str, readable: tuple[str, ...]) -> Callable[[str, tuple[Any, ...]], None]:
    # Bound here: homework may rebind what the modules `os` and `builtins` call by these names.
    realpath, fsdecode, readlink, join, null = os.path.realpath, os.fsdecode, os.readlink, os.path.join, os.devnull
    inside, below = folder + os.sep, tuple(path.rstrip(os.sep) + os.sep for path in readable)
    exists, made = os.path.lexists, [0]

    def full(path: Any, folder_descriptor: Any = None) -> str:
        text = fsdecode(path)
        if isinstance(folder_descriptor, int) and folder_descriptor >= 0 and not text.startswith(os.sep):
            text = join(readlink(f"/proc/self/fd/{folder_descriptor}"), text)
        return realpath(text)

    def change(path: Any, folder_descriptor: Any = None, more: int = 0) -> None:
        if isinstance(path, int):
            return  # a file that is open already
        place = full(path, folder_descriptor)
        if place == null:
            return
        if not place.startswith(inside):
            raise PermissionError(
                f"the sandbox refuses to change {place}: only files in the working directory are written"
            )
        made[0] += more if exists(place) == (more < 0) else 0
        if made[0] > _MADE:
            raise PermissionError(f"the sandbox refuses to make more than {_MADE} files")

    def read(path: Any) -> None:
        if isinstance(path, int):
            return
        place = full("." if path is None else path)
        if place != folder and not place.startswith(inside) and place not in readable and not place.startswith(below):
            raise PermissionError(f"the sandbox refuses to read {place}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _COMMON:
            return
        what = _EVENTS.get(event)
        if what is None and "." in event and event[: event.index(".")] in _FAMILIES:
            what = _EVENTS[event[: event.index(".") + 1]]
        if what is not None:
            raise PermissionError(f"the sandbox refuses {event}: homework has no use for {what}")
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _TO_WRITE:
                change(path, more=1)
            else:
                read(path)
        elif event in _CHANGES:
            indices, descriptor, more = _CHANGES[event]
            for shift, index in enumerate(indices):
                change(arguments[index], None if descriptor is None else arguments[descriptor + shift], more)
        elif event in _READS:
            read(arguments[0])
        elif event == "object.__setattr__" and arguments[1] in _OF_A_FUNCTION:
            owner = getattr(arguments[0], "__module__", None)
            if isinstance(owner, str) and owner.partition(".")[0] == "numpy":
                raise PermissionError(
                    f"the sandbox refuses to change {arguments[1]} of {owner}.{arguments[0].__name__}"
                )
        elif event == "sqlite3.connect" and arguments[0] != ":memory:":
            change(arguments[0])

    return hook
