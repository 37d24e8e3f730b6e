"""Homework that does what no homework should: it ends in a clear way, and the judge is as it was.

Each line is tried with all layers, and (for what reaches outside) with the kernel's alone and with Python's alone.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatgrad.sandbox import isolation
from flatgrad.sandbox.process import Limits, Sandbox, SandboxFailure
from tests.sandbox.support import SERVICE, on_linux

_MIB = 1024 * 1024
SMALL = Limits(memory=400 * _MIB, file_size=_MIB)


def run(
    code: str,
    timeout: float = 30.0,
    limits: Limits = SMALL,
    layers: Iterable[str] = isolation.LAYERS,
) -> dict[str, Any]:
    """How homework ended, in a process of its own. Raises SandboxFailure."""
    with Sandbox(SERVICE, limits, layers=layers) as box:
        return run_in(box, code, timeout)


def run_in(box: Sandbox, code: str, timeout: float = 30.0) -> dict[str, Any]:
    """How homework ended, after which the process answers the next as if nothing had been. Raises SandboxFailure."""
    reply, _ = box.call({"code": code}, {}, timeout)
    again, given = box.call({"code": "import numpy as np\nout = np.sum(x * np.eye(3), 0)"}, {"x": np.eye(3)}, 30.0)
    assert again["error"] == ""
    assert np.array_equal(given["out"], np.ones(3))
    return reply


@pytest.fixture(scope="module")
def boxes() -> Iterator[Callable[[str], Sandbox]]:
    """A process with the layers of that name, the same one as long as it lives."""
    with ExitStack() as stack:

        @cache
        def box(which: str) -> Sandbox:
            return stack.enter_context(Sandbox(SERVICE, SMALL, layers=LAYERS[which]))

        yield box


# What it tries, and how the homework ends: the start of its error.
REFUSED = {
    "socket": ("import socket; socket.socket()", "PermissionError"),
    "address": ("import socket; socket.create_connection(('127.0.0.1', 9))", "PermissionError"),
    "download": ("import urllib.request as u; u.urlopen('http://127.0.0.1:9')", "PermissionError|URLError"),
    "fork": ("import os; os.fork()", "PermissionError"),
    "exec": ("import os, sys; os.execv(sys.executable, ['python'])", "PermissionError"),
    "spawn": ("import os, sys; os.posix_spawn(sys.executable, ['python'], {})", "PermissionError"),
    "subprocess": ("import subprocess; subprocess.run(['/bin/sh', '-c', 'true'])", "PermissionError"),
    "signal to the judge": ("import os; os.kill(os.getppid(), 0)", "PermissionError"),
    "signal to a group": ("import os; os.killpg(1, 0)", "PermissionError|ProcessLookupError"),
    "write outside": ("open(place, 'w')", "PermissionError"),
    "append outside": ("open(place, 'a')", "PermissionError"),
    "write outside, by number": ("import os; os.open(place, os.O_WRONLY | os.O_CREAT)", "PermissionError"),
    "save outside": ("import numpy as np; np.save(place, np.eye(3))", "PermissionError"),
    "folder outside": ("import os; os.mkdir(place)", "PermissionError"),
    "remove": ("import os; os.remove(kept)", "PermissionError"),
    "truncate": ("import os; os.truncate(kept, 0)", "PermissionError"),
    "rename": ("import os; os.rename(kept, place)", "PermissionError"),
    "move away": ("open('a', 'w').close(); import os; os.rename('a', place)", "PermissionError|OSError"),
    "mode": ("import os; os.chmod(kept, 0o777)", "PermissionError"),
    "times": ("import os; os.utime(kept, (0, 0))", "PermissionError"),
    "link": ("import os; os.symlink(kept, 'a'); open('a', 'w')", "PermissionError"),
    "another way round": ("open('../' * 20 + place, 'w')", "PermissionError"),
    "read": ("open(kept).read()", "PermissionError"),
    "list": ("import os; os.listdir(os.path.dirname(kept))", "PermissionError"),
    "the judge's environment": ("import os; open(f'/proc/{os.getppid()}/environ', 'rb').read()", "PermissionError"),
    "limits": ("import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (30, 30))", "PermissionError|ValueError"),
    "more limits": ("import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1))", "PermissionError|ValueError"),
}
KERNEL = tuple(layer for layer in isolation.LAYERS if layer != "hook")
LAYERS = {"all": isolation.LAYERS, "kernel": KERNEL, "python": ("limits", "hook")}


@pytest.mark.parametrize("which", [pytest.param(name, marks=on_linux if name == "kernel" else ()) for name in LAYERS])
@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_outside_is_refused(
    name: str, which: str, tmp_path: Path, boxes: Callable[[str], Sandbox]
) -> None:
    code, expected = REFUSED[name]
    kept, place = tmp_path / "kept", tmp_path / "place"
    kept.write_text("precious")
    before = kept.stat()
    reply = run_in(boxes(which), f"kept, place = {str(kept)!r}, {str(place)!r}\n{code}")
    assert reply["error"].partition(":")[0] in expected.split("|"), reply["error"]
    assert kept.read_text() == "precious"
    assert (kept.stat().st_mtime, kept.stat().st_mode) == (before.st_mtime, before.st_mode)
    assert not place.exists()


# Calls that Python's audit hook does not see; "kernel" tells what must hold.
UNSEEN = {
    "signal by descriptor": "import os, signal; signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)",
    "own group": "import os; os.setpgid(0, 0)",
    "own session": "import os; os.setsid()",
    "pipe in the file system": "import os; os.mkfifo('a')",
    "memory that outlives it": "import os; os.memfd_create('a')",
    "the judge's processors": "import os; os.sched_setaffinity(os.getppid(), {0})",
    "the judge's priority": "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "signals by a file": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())",
}


@on_linux
@pytest.mark.parametrize("name", UNSEEN)
def test_what_python_does_not_see_the_kernel_refuses(name: str, boxes: Callable[[str], Sandbox]) -> None:
    assert run_in(boxes("all"), UNSEEN[name])["error"].startswith("PermissionError")


# By machine code, as an attacker would who has got past Python: (what, call by its C name, its arguments).
RAW = {
    "socket": ("socket", "(2, 1, 0)"),
    "socket pair": ("socketpair", "(1, 1, 0, (ctypes.c_int * 2)())"),
    "fork": ("fork", "()"),
    "vfork": ("syscall", "(58,)"),
    "new process": ("syscall", "(56, 17, 0, 0, 0, 0)"),
    "new process, newer": ("syscall", "(435, 0, 0)"),
    "exec": ("execv", "(b'/bin/true', None)"),
    "kill": ("kill", "(os.getppid(), 0)"),
    "kill all": ("kill", "(-1, 0)"),
    "trace": ("ptrace", "(16, os.getppid(), 0, 0)"),
    "other's memory": ("process_vm_readv", "(os.getppid(), 0, 0, 0, 0, 0)"),
    "limit": ("prlimit", "(0, 7, (ctypes.c_uint64 * 2)(9, 9), None)"),
    "other's limit": ("prlimit", "(os.getppid(), 7, (ctypes.c_uint64 * 2)(9, 9), None)"),
    "namespace": ("unshare", "(0x10000000,)"),
    "mode": ("chmod", "(kept, 0o777)"),
    "open to write": ("open", "(kept, 1)"),
    "open to read": ("open", "(kept, 0)"),
    "remove": ("unlink", "(kept,)"),
    "shared memory": ("shmget", "(1234567, 4096, 0o1666)"),
    "queue of the kernel": ("syscall", "(425, 8, 0)"),
    "a call that is not known": ("syscall", "(471,)"),
    "the other numbering": ("syscall", "(0x40000000 + 39,)"),
}


@on_linux
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
@pytest.mark.parametrize("name", RAW)
def test_machine_code_is_held_by_the_kernel(name: str, tmp_path: Path, boxes: Callable[[str], Sandbox]) -> None:
    call, arguments = RAW[name]
    kept = tmp_path / "kept"
    kept.write_text("precious")
    code = f"""
import ctypes, os
judge = os.getppid()
library = ctypes.CDLL(None, use_errno=True)
kept = {os.fsencode(kept)!r}
result = library.{call}{arguments}
if os.getppid() != judge: os._exit(9)  # a child, which should not be
value = [result, ctypes.get_errno()]
"""
    reply = run_in(boxes("kernel"), code)
    assert reply["error"] == ""
    result, number = reply["value"]
    assert result == -1
    # Refused, and not merely wrong.
    expected = [errno.EPERM, errno.EACCES] if call != "syscall" else [errno.EPERM, errno.ENOSYS]
    assert number in expected, os.strerror(number)
    assert kept.read_text() == "precious"


# How a call ends that does not come back: the kind of failure (several, where the system decides).
ENDS = {
    "endless loop": ("while True: pass", ("timeout",)),
    "loop that catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        ("timeout",),
    ),
    "loop in C": ("10**10**8", ("timeout",)),
    "sleep": ("import time; time.sleep(10**6)", ("timeout",)),
    "signals ignored": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except Exception: pass\nwhile True: pass",
        ("timeout",),
    ),
    "signals blocked": (
        "import signal; signal.pthread_sigmask(0, range(1, 65))\nwhile True: pass",
        ("timeout",),
    ),
    "stopped": ("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", ("timeout", "answered")),
    "os._exit": ("import os; os._exit(0)", ("exited",)),
    "os._exit with a code": ("import os; os._exit(7)", ("exited",)),
    "abort": ("import os; os.abort()", ("exited",)),
    "raised signal": ("import signal; signal.raise_signal(signal.SIGKILL)", ("exited",)),
    "bad memory": (
        "import numpy as np\nnp.lib.stride_tricks.as_strided(np.zeros(1), (2,), (2**40,))[1] = 1",
        ("exited",),
    ),
    "all files closed": ("import os; os.closerange(0, 1000)", ("exited",)),
    "all files closed, and on": ("import os; os.closerange(0, 1000)\nwhile True: pass", ("exited",)),
    "noise on all files": (
        "import os\nfor n in range(64):\n    try: os.write(n, b'loss: 0.5, and much more' * 10)\n"
        "    except OSError: pass",
        ("garbled",),
    ),
    "noise without end": (
        "import os\nwhile True:\n    for n in range(3, 64):\n        try: os.write(n, b'x' * 1000)\n"
        "        except OSError: pass",
        ("garbled",),
    ),
    "requests read away": (
        "import os\nfor n in range(3, 64):\n    try: os.read(n, 1000)\n    except OSError: pass",
        ("timeout",),
    ),
    "the judge's functions": (
        "import sys\ndef wreck(frame):\n    while frame:\n        frame, old = frame.f_back, frame\n"
        "        old.f_globals.clear()\nwreck(sys._getframe())",
        ("exited", "garbled"),
    ),
    "alarms": (  # they may hit the service, or be switched off in time
        "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.setitimer(0, 0.001, 0.001)",
        ("garbled", "answered"),
    ),
    "finalizer that loops": (
        "class A:\n    def __del__(self):\n        while True: pass\na = A()\ndel a",
        ("timeout",),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_does_not_come_back(name: str) -> None:
    code, expected = ENDS[name]
    started = time.monotonic()
    try:
        run(code, timeout=0.5)
        kind = "answered"
    except SandboxFailure as failure:
        kind = failure.kind
    assert kind in expected
    assert time.monotonic() - started < 8


# What comes back, and how the homework ended.
COMES_BACK = {
    "sys.exit": ("import sys; sys.exit(3)", "SystemExit"),
    "sys.exit that is caught": ("import sys\ntry: sys.exit()\nexcept BaseException: value = 1", ""),
    "exit": ("exit()", "SystemExit"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "huge allocation": ("import numpy as np; np.ones((10**6, 10**6))", "MemoryError"),
    "allocation over the limit": ("import numpy as np; np.ones(10**8)", "MemoryError"),
    "growing list": ("a = []\nwhile True: a.append([0] * 1000)", "MemoryError"),
    "growing text": ("a = 'x'\nwhile True: a += a", "MemoryError"),
    "recursion": ("def f(): return f()\nf()", "RecursionError"),
    "deep recursion": ("import sys; sys.setrecursionlimit(10**5)\ndef f(): return f()\nf()", "RecursionError"),
    "threads": ("import threading as t\nwhile True: t.Thread(target=print).start()", "RuntimeError|PermissionError"),
    "fork bomb": ("import os\nwhile True: os.fork()", "PermissionError"),
    "fork bomb that catches all": (
        "import os\nfor i in range(10**4):\n    try: os.fork()\n    except OSError: pass",
        "",
    ),
    "pool": ("import multiprocessing as m; m.Pool(2).map(abs, [1])", "PermissionError|OSError"),
    "processes": ("import multiprocessing as m; m.Process(target=print).start()", "PermissionError|OSError"),
    "prints": ("for i in range(300): print('x' * 10**6)", ""),
    "prints below Python": ("import os\nfor i in range(300): os.write(1, b'x' * 10**6); os.write(2, b'x' * 10**6)", ""),
    "reads": ("value = input()", "EOFError"),
    "debugger": ("breakpoint()", "PermissionError|BdbQuit"),
    "large file": ("open('a', 'wb').write(b'x' * 2 * 10**6)", "OSError"),
    "file in its folder": ("import numpy as np\nnp.save('a.npy', np.eye(3)); np.load('a.npy')", ""),
    "many files": ("for i in range(10**4): open(str(i), 'w').close()", "PermissionError"),
    "one file many times": ("for i in range(3000): open('a', 'w').close()", ""),
    "files made and removed": ("import os\nfor i in range(3000): open('a', 'w').close(); os.remove('a')", ""),
    "many open files": ("a = [open('a', 'w') for i in range(10**4)]", "OSError"),
    "temporary folder": ("import tempfile\nwith tempfile.TemporaryDirectory() as d: open(d + '/a', 'w').close()", ""),
    "another folder": ("import os; os.chdir('/')", ""),
    "folder removed": ("import os; os.rmdir(os.getcwd())", "PermissionError|OSError"),
    "atexit": ("import atexit; atexit.register(print, 3)", ""),
    "trace": ("import sys; sys.settrace(lambda *a: 1 / 0)", "PermissionError"),
    "profile": ("import sys; sys.setprofile(lambda *a: 1 / 0)", "PermissionError"),
    "seed": ("import numpy as np, random; np.random.seed(0); random.seed(0)", ""),
    "recursion limit": ("import sys; sys.setrecursionlimit(60)", "|RecursionError"),
    "output taken away": ("import sys; sys.stdout = sys.stderr = None; sys.__stdout__.close()", ""),
    "collector": ("import gc; gc.disable(); gc.callbacks.append(lambda *a: 1 / 0)", ""),
    "machine code": ("import ctypes; ctypes.CDLL(None)", "PermissionError"),
    "code in NumPy": ("import numpy as np; np.sum._implementation.__code__ = (lambda: 0).__code__", "PermissionError"),
    "other packages": ("import scipy.special; value = scipy.special.expit(0.0).item()", ""),
}  # fmt: skip

# What the process that it ran in does not get over, or remembers.
LASTING = ("many files", "many open files", "output taken away", "another folder", "atexit")


@pytest.mark.parametrize("name", COMES_BACK)
def test_what_comes_back(name: str, boxes: Callable[[str], Sandbox], capfd: pytest.CaptureFixture[str]) -> None:
    code, expected = COMES_BACK[name]
    reply = run(code) if name in LASTING else run_in(boxes("all"), code)
    assert reply["error"].partition(":")[0] in expected.split("|"), reply["error"]
    assert reply["patched"] == []
    assert capfd.readouterr() == ("", "")


PATCHED = {
    "a function": ("import numpy as np; np.sum = lambda *a: 0", ["numpy.sum"]),
    "another's": ("import numpy as np; np.add = np.subtract", ["numpy.add"]),
    "the same": ("import numpy as np; np.sum = np.sum", []),
    "a constant": ("import numpy as np; np.pi = 3", ["numpy.pi"]),
    "the seed": ("import numpy as np; np.random.seed = abs", ["numpy.random.seed"]),
    "built in": ("import builtins; builtins.len = builtins.isinstance = None", ["builtins.isinstance", "builtins.len"]),
    "all built in": ("import builtins as b\ns = setattr\nfor n in dir(b):\n    if n[0] != '_': s(b, n, None)", None),
    "all of NumPy": ("import numpy as np\nfor n in dir(np):\n    if n[0] != '_': setattr(np, n, None)", None),
    "gone": ("import numpy as np; del np.exp", ["numpy.exp"]),
    "a module": ("import sys; sys.modules['numpy'] = sys", ['sys.modules["numpy"]']),
    "all modules": ("import sys; sys.modules.clear()", None),
    "other modules": ("import sys; sys.modules = {}", ["sys.modules"]),
    "what the judge uses": ("import os, json, struct; os.write = os.read = json.dumps = struct.Struct = None", None),
}  # fmt: skip


@pytest.mark.parametrize("name", PATCHED)
def test_what_is_patched_is_said_and_put_back(name: str, boxes: Callable[[str], Sandbox]) -> None:
    code, expected = PATCHED[name]
    reply = run_in(boxes("all"), code)
    assert reply["error"] == ""
    assert reply["patched"] == expected if expected is not None else len(reply["patched"]) > 2


def test_no_audit_hook_is_added() -> None:
    code = "import sys; value = []; sys.addaudithook(lambda *a: value.append(a[0])); open('a', 'w').close()"
    assert run(code)["value"] == []


def test_a_huge_answer_is_garbled() -> None:
    with pytest.raises(SandboxFailure, match="garbled") as caught:
        run("import numpy as np; out = np.ones(10**6)", limits=Limits(answer=_MIB))
    assert caught.value.kind == "garbled"
    with pytest.raises(SandboxFailure, match="garbled"):
        run("import numpy as np; out = np.broadcast_to(1.0, (10**7, 10**7))")


def test_memory_that_the_service_lacks_is_said() -> None:
    with Sandbox(SERVICE, SMALL) as box, pytest.raises(SandboxFailure) as caught:
        box.call({"code": "import numpy as np; np.ones(10**8)", "unguarded": 1}, {}, 30.0)
    assert caught.value.kind == "memory"


def test_processor_time_is_limited() -> None:
    with pytest.raises(SandboxFailure, match="1 s of processor time") as caught:
        run("while True: pass", timeout=30.0, limits=Limits(cpu=1))
    assert caught.value.kind == "timeout"


def test_processor_time_is_limited_by_force() -> None:
    code = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    with pytest.raises(SandboxFailure, match="1 s of processor time") as caught:
        run(code, timeout=30.0, limits=Limits(cpu=1))
    assert caught.value.kind == "timeout"


def test_a_deep_folder_is_removed() -> None:
    with Sandbox(SERVICE, layers=("limits",)) as box:
        folder = box.folder
        code = "import os\nfor i in range(900): os.mkdir('a' * 50); os.chdir('a' * 50)\nopen('b', 'w').close()"
        assert box.call({"code": code}, {}, 30.0)[0]["error"] == ""
        assert folder.is_dir()
    assert not folder.exists()


@on_linux
def test_nothing_is_left_running_without_the_kernels_help() -> None:
    """With neither seccomp nor the audit hook a child may be had: it dies with its parent's group."""
    code = "import os, time\nvalue = os.fork()\nif not value: time.sleep(1000)"
    with Sandbox(SERVICE, layers=("landlock",)) as box:
        child = box.call({"code": code}, {}, 30.0)[0]["value"]
        os.kill(child, 0)
    wait_for_end(child)


def wait_for_end(process: int) -> None:
    for _ in range(500):
        try:
            status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if status == "Z":  # nobody has asked how it ended yet
            return
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    pytest.fail("a process of homework was left")
