"""The judge's end: a process that runs homework, asked over pipes, bounded in time, killed as a whole."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import select
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Never, Self

import numpy as np

from flatgrad.sandbox import isolation, messages
from flatgrad.sandbox.isolation import Limits

__all__ = ["KINDS", "Limits", "Sandbox", "SandboxFailure"]

WORKER = Path(__file__).resolve().parent / "worker.py"
KINDS = ("timeout", "memory", "exited", "garbled", "startup")
_REPORTED = ("memory", "exited", "garbled")
# Threads are refused; a library that has not read this tries to start them when it is loaded, and gives up with SIGINT.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_FOR_THE_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_MIB = 1024 * 1024


class SandboxFailure(Exception):
    """A process gave no answer; it is gone. `kind` is one of KINDS, `detail` says what happened in plain words."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class Sandbox:
    """A process that runs a service file on behalf of this one.

        with Sandbox(service) as box:
            reply, arrays = box.call({"run": "f"}, {"x": x}, timeout=5.0)

    Every failure is raised as SandboxFailure and ends the process; a further call raises at once. Not for use by two
    threads at a time. `parts` are modules that the service imports, by name, in the order in which they are loaded.
    `layers` leaves some of the isolation out, for tests of the rest.
    """

    def __init__(
        self,
        service: Path,
        limits: Limits | None = None,
        *,
        parts: Mapping[str, Path] = MappingProxyType({}),
        layers: Iterable[str] = isolation.LAYERS,
    ) -> None:
        self._service = Path(service).resolve()
        self._parts = {name: str(Path(path).resolve()) for name, path in parts.items()}
        self._limits = limits or Limits()
        self._layers = tuple(layers)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._ended = "it was not started"
        self.held: dict[str, int] = {}
        """The layers that hold, see `isolation.confine`."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(
        self, request: Mapping[str, Any], arrays: Mapping[str, np.ndarray], timeout: float
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Ask the service; at most `timeout` seconds. Raises SandboxFailure, and Garbled for what can't be sent."""
        if self._process is None:
            raise SandboxFailure("exited", f"the process has ended: {self._ended}")
        token = secrets.token_bytes(messages.TOKEN_SIZE)
        frame = messages.encode(token, request, arrays, sys.maxsize)
        deadline = time.monotonic() + timeout
        try:
            if self._ready([self._replies], [], 0):
                if not os.read(self._replies, 1):
                    self._lost()
                self._fail("garbled", "it wrote to the judge without being asked")
            self._write(frame, deadline, timeout)
            body, given = self._answer(token, deadline, timeout)
        except SandboxFailure:
            raise
        except BaseException:  # an interrupt: half an answer may be on its way
            self._end("the call was interrupted")
            raise
        return body, given

    @property
    def folder(self) -> Path:
        """The empty folder that it runs in, and may write to; removed when it is closed."""
        return Path(self._folder)

    def close(self) -> None:
        """Kill the process and all of its group, and remove its folder. May be called again."""
        self._end("it was closed")
        if self._folder:
            _remove(self._folder)
            self._folder = ""

    def _start(self) -> None:
        if os.name != "posix":
            raise SandboxFailure("startup", "homework is only run on Linux and macOS, where a process can be limited")
        if not sys.executable:
            raise SandboxFailure(
                "startup", "there is no Python interpreter to run homework with (sys.executable is empty)"
            )
        self._folder = os.path.realpath(tempfile.mkdtemp(prefix="flatgrad-"))
        environment = dict.fromkeys(_ONE_THREAD, "1") | {n: os.environ[n] for n in _FOR_THE_LOADER if n in os.environ}
        try:
            # -S: no code of `.pth` files runs, and no project's folder comes with them.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise SandboxFailure("startup", f"{sys.executable} can't be started: {error}") from None
        os.set_blocking(self._requests, False)
        os.set_blocking(self._replies, False)
        token = secrets.token_bytes(messages.TOKEN_SIZE)
        # The kernel watches the thread that started the process: only the main one lasts as long as the judge does.
        main = threading.current_thread() is threading.main_thread()
        setup = {
            "token": token.hex(),
            "service": str(self._service),
            "parts": self._parts,
            "folder": self._folder,
            "packages": packages(),
            "limits": dataclasses.asdict(self._limits),
            "layers": self._layers,
            "parent": os.getpid() if main and sys.platform == "linux" else 0,
        }
        text = json.dumps(setup).encode()
        timeout = self._limits.startup
        deadline = time.monotonic() + timeout
        try:
            self._write(len(text).to_bytes(8, "little") + text, deadline, timeout)
            self.held, _ = self._answer(token, deadline, timeout)
        except SandboxFailure as failure:
            raise SandboxFailure("startup", failure.detail) from None

    @property
    def _requests(self) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    @property
    def _replies(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _write(self, frame: bytes, deadline: float, timeout: float) -> None:
        left = memoryview(frame)
        while left:
            self._wait([], [self._requests], deadline, timeout)
            try:
                left = left[os.write(self._requests, left[: 1 << 20]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._lost()

    def _read(self, count: int, deadline: float, timeout: float) -> bytearray:
        got = bytearray()
        while len(got) < count:
            self._wait([self._replies], [], deadline, timeout)
            try:
                part = os.read(self._replies, min(count - len(got), 1 << 20))
            except BlockingIOError:
                continue
            if not part:
                self._lost()
            got += part
        return got

    def _wait(self, reading: list[int], writing: list[int], deadline: float, timeout: float) -> None:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self._fail("timeout", f"it gave no answer within {timeout:g} s")
            if self._ready(reading, writing, min(left, 3600.0)):
                return

    def _ready(self, reading: list[int], writing: list[int], seconds: float) -> bool:
        poller = select.poll()  # select() refuses descriptors above 1023
        for descriptor in reading:
            poller.register(descriptor, select.POLLIN)
        for descriptor in writing:
            poller.register(descriptor, select.POLLOUT)
        return bool(poller.poll(seconds * 1000))

    def _answer(self, token: bytes, deadline: float, timeout: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        try:
            header = bytes(self._read(messages.HEADER_SIZE, deadline, timeout))
            echo, text, data = messages.decode_header(header, self._limits.answer)
            if echo != token:
                raise messages.Garbled("what came back is no answer to this request")
            body, arrays = messages.decode(
                bytes(self._read(text, deadline, timeout)), memoryview(self._read(data, deadline, timeout))
            )
            if "reply" in body and isinstance(body["reply"], dict):
                return body["reply"], arrays
            if body.get("failure") in _REPORTED and isinstance(body.get("detail"), str):
                self._fail(body["failure"], body["detail"][:2000])
            raise messages.Garbled("the answer is no dict")
        except messages.Garbled as error:
            self._fail("garbled", str(error))

    def _lost(self) -> Never:
        """The pipe has ended: find out why."""
        assert self._process is not None
        errors = self._errors()
        status, cpu, memory = self._reap(grace=1.0)
        if status is None:
            self._fail("exited", "it closed its connection to the judge")
        self._fail(*_cause(status, cpu, memory, self._limits, errors))

    def _errors(self) -> str:
        """The end of what Python wrote to standard error before it answered (nothing afterwards)."""
        if self._process is None or self._process.stderr is None:
            return ""
        os.set_blocking(self._process.stderr.fileno(), False)
        try:
            return os.read(self._process.stderr.fileno(), 1 << 16).decode("utf-8", "replace").strip()[-500:]
        except OSError:
            return ""

    def _fail(self, kind: str, detail: str) -> Never:
        self._end(f"{kind}: {detail}")
        raise SandboxFailure(kind, detail)

    def _reap(self, grace: float) -> tuple[int | None, float, int]:
        """Wait `grace` seconds for the process to end by itself: exit code (None: it has not), CPU seconds, bytes."""
        assert self._process is not None
        until = time.monotonic() + grace
        while True:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > until:
                return None, 0.0, 0
            time.sleep(0.002)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        unit = 1 if sys.platform == "darwin" else 1024
        return self._process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit

    def _end(self, why: str) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._ended = why
        # Before its leader is waited for: until then nobody else can have this number.
        if process.returncode is None:
            for kill in (os.killpg, os.kill):
                # Nothing may be left of it, or (macOS) only its remains.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(process.pid, signal.SIGKILL)
            process.wait()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def packages() -> list[str]:
    """Where this process finds NumPy and other installed packages; not its other paths, which hold people's files."""
    numpy_folder = str(Path(np.__file__).resolve().parent.parent)
    installed = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    return list(dict.fromkeys([numpy_folder, *(os.path.realpath(path) for path in installed if os.path.isdir(path))]))


def _cause(status: int, cpu: float, memory: int, limits: Limits, errors: str) -> tuple[str, str]:
    """Kind and detail for a process that ended by itself: exit code or minus a signal, CPU seconds, bytes at most."""
    if status >= 0:
        return "exited", f"the process ended with exit code {status}" + (f": {errors}" if errors else "")
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    if name == "SIGXCPU" or (name == "SIGKILL" and cpu >= limits.cpu):
        return "timeout", f"it used more than {limits.cpu} s of processor time"
    if memory > 0.8 * limits.memory:
        return (
            "memory",
            f"the process was ended by {name} when it used {memory // _MIB} MiB of {limits.memory // _MIB} MiB",
        )
    return "exited", f"the process was ended by {name}"


def _remove(folder: str) -> None:
    """Remove a folder and all that homework left in it: folders without permissions, and any depth of them.

    What is in a folder is moved to the top before that folder goes, so that no path grows long.
    """
    moved = 0
    with contextlib.suppress(OSError):
        os.chmod(folder, stat.S_IRWXU)
        while entries := list(os.scandir(folder)):
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.remove(entry.path)
                    continue
                os.chmod(entry.path, stat.S_IRWXU)
                for inner in list(os.scandir(entry.path)):
                    if inner.is_dir(follow_symlinks=False):
                        os.chmod(inner.path, stat.S_IRWXU)  # or it can't be moved
                    moved += 1
                    os.rename(inner.path, os.path.join(folder, f".moved-{os.getpid()}-{moved}"))
                os.rmdir(entry.path)
        os.rmdir(folder)
