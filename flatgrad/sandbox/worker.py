"""The process in which homework runs: started as `python -I worker.py`, it needs the standard library and NumPy alone.

It loads the service (trusted: a file with `handle(request, arrays) -> (reply, arrays)`, and modules that it imports),
gives up what the layers take (see isolation.py), and answers one request after another over two pipes, until they end
or it is killed. What homework does to this process can spoil its answers, which the judge then finds garbled; it has no
other way out.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

# Loaded in this order: each may import those before it. The package itself is not imported, it would load the compiler.
_MODULES = ("linux", "landlock", "seccomp", "refusals", "isolation", "messages", "guard")
# What the answers are written with, once homework has been there. The service sees to what it uses itself.
_USED = ("builtins", "json", "json.encoder", "json.decoder", "json.scanner", "struct", "math", "numpy")


def load(name: str, path: str) -> ModuleType:
    """Run a file as the module of that name, with built-in functions of its own, that no homework rebinds."""
    module = ModuleType(name)
    module.__file__ = path
    vars(module)["__builtins__"] = dict(vars(builtins))
    sys.modules[name] = module
    code = SourceFileLoader(name, path).get_code(name)
    assert code is not None
    exec(code, vars(module))
    return module


def load_all(folder: str, service: str, parts: dict[str, str]) -> dict[str, ModuleType]:
    """The sandbox's modules, and "service", with the modules `parts` that it imports loaded before it, by name and
    path. `import flatgrad` then is, for homework, what it would be elsewhere."""
    for package in ("flatgrad", "flatgrad.sandbox"):
        sys.modules[package] = ModuleType(package)
    loaded = {}
    for name in _MODULES:
        loaded[name] = load(f"flatgrad.sandbox.{name}", os.path.join(folder, f"{name}.py"))
        setattr(sys.modules["flatgrad.sandbox"], name, loaded[name])
    for name, path in parts.items():
        load(name, path)
    loaded["service"] = load("flatgrad_service", service)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("flatgrad", "flatgrad_service")]:
        del sys.modules[name]
    return loaded


def serve(requests: int, replies: int) -> None:
    """Read the set-up, then answer requests from the pipe `requests` on the pipe `replies`. Ends the process."""
    # Bound here, as homework may rebind what the modules call by these names.
    read, write, leave = os.read, os.write, os._exit

    def take(count: int) -> bytes:
        parts = []
        while count:
            part = read(requests, min(count, 1 << 20))
            if not part:
                leave(0)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def give(frame: bytes) -> None:
        left = memoryview(frame)
        while left:
            left = left[write(replies, left) :]

    setup: dict[str, Any] = json.loads(take(int.from_bytes(take(8), "little")))
    token = bytes.fromhex(setup["token"])
    sys.path.extend(path for path in setup["packages"] if path not in sys.path)
    # NumPy loads some of itself when it is first asked for; what is loaded now is watched.
    for name in ("numpy.fft", "numpy.linalg", "numpy.random"):
        import_module(name)
    # Scripts call these two. They come with `site`, which was not run: it runs what lies in its folders.
    vars(builtins).update(exit=sys.exit, quit=sys.exit)
    modules = load_all(os.path.dirname(os.path.abspath(__file__)), setup["service"], setup["parts"])
    encode, decode, decode_header = (getattr(modules["messages"], n) for n in ("encode", "decode", "decode_header"))
    header_size, limit = modules["messages"].HEADER_SIZE, setup["limits"]["answer"]
    garbled, patched = modules["messages"].Garbled, modules["guard"].patched
    handle: Any = vars(modules["service"]).get("handle")

    os.environ["TMPDIR"] = setup["folder"]
    if setup["parent"]:
        modules["linux"].die_with(setup["parent"])
    isolation = modules["isolation"]
    limits = isolation.Limits(**setup["limits"])
    held = isolation.confine(limits, setup["folder"], setup["packages"], setup["layers"])
    before = modules["guard"].snapshot(_USED)
    os.dup2(1, 2)
    give(encode(token, {"reply": held}, {}, limit))

    while True:
        token, text, data = decode_header(take(header_size), 1 << 62)
        body, arrays = decode(take(text), take(data))
        answer: dict[str, Any] = {}
        try:
            answer["reply"], given = handle(body, arrays)
        except MemoryError:
            answer, given = {"failure": "memory", "detail": "it asked for more memory than it is allowed"}, {}
        except SystemExit:
            answer, given = {"failure": "exited", "detail": "it called sys.exit()"}, {}
        except BaseException as error:
            answer, given = {"failure": "garbled", "detail": f"the service ended with {_words(error)}"}, {}
        patched(before)
        try:
            frame = encode(token, answer, given, limit)
        except MemoryError:
            frame = encode(
                token, {"failure": "memory", "detail": "the answer takes more memory than is allowed"}, {}, limit
            )
        except garbled as error:
            frame = encode(token, {"failure": "garbled", "detail": f"no answer could be sent: {error}"}, {}, limit)
        give(frame)
        del frame, answer, given, body, arrays


def _words(error: BaseException) -> str:
    """Kind, place and text of an error, of bounded length; the error's class may be homework's, and raise in turn."""
    place, step = "", error.__traceback__
    while step is not None:
        place = f" (line {step.tb_lineno} of {step.tb_frame.f_code.co_filename})"
        step = step.tb_next
    try:
        return f"{type(error).__name__}: {str(error)[:500]}{place[-300:]}"
    except BaseException:
        return f"{type(error).__name__}{place[-300:]}"


def main() -> None:
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)  # standard error follows when all is loaded: until then the judge reads what goes wrong
    os.close(nothing)
    serve(requests, replies)


if __name__ == "__main__":
    main()
