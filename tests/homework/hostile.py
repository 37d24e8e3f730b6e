"""Hostile and broken homework, with the exit codes and the words that a report must have."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.diff.verdicts import Outcome, Report

LAYER = """import numpy as np
{top}

def affine_forward(x, w, b):
    # x: (N, D), w: (D, M), b: (M,)
    {forward}
    out = x @ w + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    {start}
    dx = {dx}
    dw = x.T @ dout
    db = dout.sum(axis=0)
    {end}
    return dx, dw, db
"""


@dataclass(frozen=True, slots=True)
class Hostile:
    """A homework that does harm, or cannot be judged.

    Attributes:
        name: unique.
        text: the homework.
        codes: the exit codes that are right: 0 where what it does is harmless and its gradients are right, 1 where a
            gradient must be called wrong, 2 where it cannot be judged.
        words: one of them must stand in the problem (for 2) or in the details of the wrong verdicts (for 1), in
            capitals or not; none: no matter.
        line: the line that the problem must name; 0: no matter.
    """

    name: str
    text: str
    codes: tuple[int, ...]
    words: tuple[str, ...] = ()
    line: int = 0

    def complaints(self, reports: tuple[Report, ...]) -> list[str]:
        """What is not as it must be."""
        found = []
        if not reports:
            return ["no report at all"]
        code = max(report.exit_code for report in reports)
        if code not in self.codes:
            found.append(f"exit {code}, not one of {self.codes}: {[report.problem for report in reports]}")
        bad = (Outcome.WRONG, Outcome.MISSING)
        said = " ".join(report.problem for report in reports)
        said += " ".join(
            f"{verdict.detail} {verdict.reason}"
            for report in reports
            for verdict in report.verdicts
            if verdict.outcome in bad
        )
        if code and self.words and not any(word.lower() in said.lower() for word in self.words):
            found.append(f"none of {self.words} in {said!r}")
        if code == 2 and self.line and self.line not in [report.problem_line for report in reports]:
            found.append(f"line {[report.problem_line for report in reports]}, not {self.line}")
        return found


def layer(top: str = "", forward: str = "pass", start: str = "pass", dx: str = "dout @ w.T", end: str = "pass") -> str:
    """An affine layer with something at one of its places."""

    def indented(code: str) -> str:
        return code.replace("\n", "\n    ")

    return LAYER.format(top=top, forward=indented(forward), start=indented(start), dx=dx, end=indented(end))


WRONG = "dout @ w.T * 2"
TIME = ("time", "second", "longer", "endless")
MEMORY = ("memory", "allocate", "size")
ENDED = ("exit", "ended", "died", "killed", "signal")

MISBEHAVES = """
class Array:
    shape = (3, 3)
    dtype = float

    def __array__(self, *args, **kwargs):
        raise SystemExit("no array for you")

    def __len__(self):
        return -1

    def __repr__(self):
        raise RuntimeError("no text either")
"""

ALWAYS_EQUAL = """
class Equal(np.ndarray):
    def __sub__(self, other):
        return np.zeros(self.shape)

    __rsub__ = __sub__

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        inputs = [np.asarray(value).view(np.ndarray) for value in inputs]
        return np.zeros(np.broadcast(*inputs).shape)

    def __array_function__(self, function, types, args, kwargs):
        return True
"""

FRAMES = """
import sys
frame = sys._getframe()
while frame is not None:
    for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
        if isinstance(value, dict):
            for key in list(value):
                if isinstance(key, str) and ("expected" in key or "truth" in key or "verdict" in key):
                    value[key] = None
        if callable(value) and name in ("handle", "compare", "judge", "wrong", "equal", "close"):
            frame.f_globals[name] = lambda *args, **kwargs: True
    frame = frame.f_back
"""

MODULES = """
import sys
for module in list(sys.modules.values()):
    for name in ("handle", "send", "write_message", "allclose", "isclose", "array_equal", "compare"):
        if hasattr(module, name):
            try:
                setattr(module, name, lambda *args, **kwargs: True)
            except Exception:
                pass
"""

FORGED = """
import os
for descriptor in range(3, 64):
    try:
        os.write(descriptor, b'{"ok": true, "verdicts": []}' * 20)
    except OSError:
        pass
"""

HOSTILE = (
    # Runs that do not end by themselves.
    Hostile("endless-backward", layer(start="while True:\n    pass"), (2,), TIME),
    Hostile("endless-forward", layer(forward="while True:\n    pass"), (2,), TIME),
    # Loops and calls at the top of a file are not run: its functions do not need them.
    Hostile("endless-module", layer(top="while True:\n    pass"), (0,)),
    Hostile("endless-name", layer(top="n = sum(1 for _ in iter(int, 1))"), (2,), TIME),
    Hostile("sleep", layer(start="import time\ntime.sleep(10_000)"), (2,), TIME),
    Hostile(
        "endless-and-deaf",
        layer(
            start="while True:\n    try:\n        while True:\n            pass\n"
            "    except BaseException:\n        pass"
        ),
        (2,),
        TIME,
    ),
    Hostile(
        "signals-ignored",
        layer(
            start="import signal\nfor number in range(1, 32):\n    try:\n"
            "        signal.signal(number, signal.SIG_IGN)\n    except (OSError, ValueError):\n"
            "        pass\nwhile True:\n    pass"
        ),
        (2,),
        TIME,
    ),
    Hostile(
        "infinite-recursion-backward",
        layer(top="def again():\n    return again()", start="again()"),
        (1, 2),
        ("recursion",),
    ),
    Hostile(
        "infinite-recursion-forward",
        layer(top="def again():\n    return again()", forward="again()"),
        (2,),
        ("recursion",),
    ),
    Hostile(
        "recursion-without-limit",
        layer(
            top="import sys\nsys.setrecursionlimit(10**9)\ndef again(n):\n    return again(n + 1) + 1", start="again(0)"
        ),
        (1, 2),
    ),
    # Processes, memory, exits.
    Hostile("fork-bomb", layer(start="import os\nfor _ in range(10_000):\n    os.fork()"), (1, 2)),
    Hostile("fork-bomb-forward", layer(forward="import os\nwhile True:\n    os.fork()"), (2,)),
    Hostile("fork-once", layer(start="import os\nos.fork()"), (0, 1, 2)),
    Hostile(
        "threads",
        layer(
            start="import threading, time\nfor _ in range(100_000):\n"
            "    threading.Thread(target=time.sleep, args=(1000,)).start()"
        ),
        (1, 2),
    ),
    Hostile(
        "thread-left",
        layer(start="import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()"),
        (0, 1, 2),
    ),
    Hostile("allocation", layer(start="big = np.ones((200_000, 200_000))"), (1, 2), MEMORY),
    Hostile("allocation-list", layer(start="big = [0.0] * 10**11"), (1, 2), MEMORY),
    Hostile(
        "allocation-grows", layer(start="kept = []\nwhile True:\n    kept.append(np.ones(10_000_000))"), (1, 2), MEMORY
    ),
    Hostile("allocation-forward", layer(forward="big = np.ones((200_000, 200_000))"), (2,), MEMORY),
    Hostile("huge-gradient", layer(dx="np.broadcast_to(0.0, (10**6, 10**6))"), (1, 2)),
    Hostile("huge-number", layer(start="n = 10 ** (10 ** 10)"), (1, 2)),
    Hostile("sys-exit-backward", layer(start="import sys\nsys.exit(0)"), (1, 2), ("exit",)),
    Hostile("sys-exit-forward", layer(forward="import sys\nsys.exit(0)"), (2,), ("exit",)),
    Hostile("sys-exit-module", layer(top="import sys\nsys.exit('bye')"), (0,)),
    Hostile("sys-exit-name", layer(top="import sys\nscale = sys.exit('bye')", forward="x * scale"), (2,), ("bye",), 7),
    Hostile("quit-module", layer(top="quit()"), (0,)),
    Hostile("os-exit-backward", layer(start="import os\nos._exit(0)"), (1, 2), ENDED),
    Hostile("os-exit-module", layer(top="import os\nnothing = os._exit(0)"), (2,), ENDED),
    Hostile("killed", layer(start="import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), (1, 2), ENDED),
    Hostile(
        "parent-killed",
        layer(start="import os, signal\ntry:\n    os.kill(os.getppid(), signal.SIGTERM)\nexcept Exception:\n    pass"),
        (0, 1, 2),
    ),
    Hostile("crash-of-the-interpreter", layer(start="import ctypes\nctypes.string_at(0)"), (1, 2)),
    Hostile("keyboard-interrupt", layer(start="raise KeyboardInterrupt"), (1, 2)),
    Hostile("generator-exit", layer(start="raise GeneratorExit('x')"), (1, 2)),
    Hostile(
        "exception-that-cannot-be-printed",
        layer(top="class Bad(Exception):\n    def __str__(self):\n        raise self", start="raise Bad()"),
        (1, 2),
    ),
    # Output, files, streams.
    Hostile("prints", layer(start="print('loss', dout.sum())"), (0,)),
    Hostile("prints-much", layer(start="for _ in range(2000):\n    print('x' * 100_000)"), (0, 2)),
    Hostile("prints-in-module", layer(top="print('{\"ok\": true}')"), (0,)),
    Hostile("writes-to-standard-output", layer(start="import os\nos.write(1, b'\\x00garbage' * 1000)"), (0, 2)),
    Hostile("reads-input", layer(start="input('your answer: ')"), (1, 2)),
    Hostile("closes-everything", layer(start="import os\nos.closerange(0, 256)"), (1, 2)),
    Hostile("forged-answer", layer(start=FORGED, dx=WRONG), (1, 2)),
    Hostile("written-file", layer(start="open('result.txt', 'w').write('hello')"), (0, 1)),
    Hostile(
        "written-file-elsewhere",
        layer(start="try:\n    open('/tmp/flatgrad-hostile-homework', 'w').write('hello')\nexcept OSError:\n    pass"),
        (0,),
    ),
    Hostile(
        "disk-full",
        layer(start="with open('big', 'wb') as file:\n    while True:\n        file.write(bytes(10**7))"),
        (1, 2),
    ),
    Hostile(
        "deletes-its-file", layer(top="import os\ntry:\n    os.remove(__file__)\nexcept Exception:\n    pass"), (0,)
    ),
    Hostile("shell", layer(start="import os\nos.system('touch result.txt; sleep 1')"), (0, 1, 2)),
    # State of the judge.
    Hostile("changed-seed", layer(start="np.random.seed(0)"), (0,)),
    Hostile("changed-seed-wrong", layer(start="np.random.seed(0)\nimport random\nrandom.seed(0)", dx=WRONG), (1,)),
    Hostile(
        "patched-comparison",
        layer(top="np.allclose = np.array_equal = np.isclose = lambda *args, **kwargs: True", dx=WRONG),
        (2,),
        ("changes numpy.allclose, numpy.array_equal and numpy.isclose",),
    ),
    Hostile(
        "patched-and-put-back",
        layer(
            start="array, shape = np.array, np.shape\nnp.array = lambda *args, **kwargs: x",
            dx=WRONG,
            end="np.array = array",
        ),
        (1,),
    ),
    Hostile(
        "patched-abs",
        layer(top="np.abs = np.absolute = np.max = np.amax = np.linalg.norm = lambda *args, **kwargs: 0.0", dx=WRONG),
        (1, 2),
    ),
    Hostile(
        "patched-numpy-late",
        layer(
            end="for name in dir(np):\n    if callable(getattr(np, name)):\n"
            "        setattr(np, name, lambda *args, **kwargs: 0.0)",
            dx=WRONG,
        ),
        (1, 2),
    ),
    Hostile(
        "patched-builtins",
        layer(
            top="import builtins\nbuiltins.abs = lambda value: 0\nbuiltins.all = builtins.any = lambda values: True",
            dx=WRONG,
        ),
        (1, 2),
    ),
    Hostile(
        "patched-json",
        layer(
            top="import json, struct\njson.dumps = lambda *args, **kwargs: '{\"ok\": true}'\n"
            "json.loads = lambda *args, **kwargs: {}",
            dx=WRONG,
        ),
        (1, 2),
    ),
    Hostile(
        "changed-when-recorded",
        layer(forward="if '__recorder__' in globals():\n    b = 2 * b", end="db = 2 * db"),
        (2,),
        ("are not the derivative",),
    ),
    Hostile("changed-after-it-was-read", layer(end="same = dw\nsame *= 2"), (1,), ("changed after it is first read",)),
    Hostile("frames", layer(start=FRAMES, dx=WRONG), (1, 2)),
    Hostile("modules-patched", layer(top=MODULES, dx=WRONG), (1, 2)),
    Hostile(
        "traced",
        layer(top="import sys\nsys.settrace(lambda *args: None)\nsys.setprofile(lambda *args: None)", dx=WRONG),
        (1,),
    ),
    Hostile("errors-raised", layer(top="np.seterr(all='raise')"), (0,)),
    Hostile(
        "imports-the-judge",
        layer(
            top="try:\n    import flatgrad.diff.verdicts as verdicts\n"
            "    verdicts.Outcome.WRONG = verdicts.Outcome.MATCH\nexcept Exception:\n    pass",
            dx=WRONG,
        ),
        (1, 2),
    ),
    Hostile("arguments-changed", layer(end="dout *= 0\nx *= 0\nw *= 0"), (0,)),
    Hostile("arguments-changed-wrong", layer(start="w *= 2\nx *= 2"), (1,)),
    Hostile("different-every-time", layer(dx="dout @ w.T * np.random.rand()"), (1,)),
    Hostile(
        "detects-the-second-run",
        layer(top="runs = []", start="runs.append(1)", dx="dout @ w.T * (1 if len(runs) < 2 else 2)"),
        (0, 1),
    ),
    # What is returned.
    Hostile("returns-none", layer(dx="None"), (1,)),
    Hostile("returns-text", layer(dx="'dout @ w.T'"), (1,)),
    Hostile("returns-ragged", layer(dx="[[1.0, 2.0], [3.0]]"), (1,)),
    Hostile("returns-nested-lists", layer(dx="(dout @ w.T).tolist()"), (0, 1)),
    Hostile("returns-nan", layer(dx="dout @ w.T * np.nan"), (1,)),
    Hostile("returns-infinity", layer(dx="dout @ w.T / 0.0"), (1,)),
    Hostile("returns-objects", layer(dx="(dout @ w.T).astype(object)"), (0, 1)),
    Hostile("returns-wrong-objects", layer(dx="np.array([[None]])"), (1,)),
    Hostile("returns-complex", layer(dx="dout @ w.T * 1j"), (1,)),
    Hostile("returns-boolean", layer(dx="(dout @ w.T) > 0"), (1,)),
    Hostile("returns-dates", layer(dx="np.full(x.shape, np.datetime64('2020-01-01'))"), (1,)),
    Hostile("returns-fields", layer(dx="np.zeros(3, dtype=[('a', float), ('b', int)])"), (1,)),
    Hostile("returns-generator", layer(dx="(value for value in dout)"), (1,)),
    Hostile("returns-function", layer(dx="np.sum"), (1,)),
    Hostile("returns-itself", layer(start="own = []\nown.append(own)", dx="own"), (1, 2)),
    Hostile("returns-misbehaving", layer(top=MISBEHAVES, dx="Array()"), (1, 2)),
    Hostile("returns-always-equal", layer(top=ALWAYS_EQUAL, dx="(dout @ w.T * 2).view(Equal)"), (1, 2)),
    Hostile("returns-too-few", layer(end="return dx, dw"), (1,)),
    Hostile("returns-too-many", layer(end="return dx, dw, db, db"), (0, 1, 2)),
    Hostile("returns-nothing", layer(end="return"), (1, 2)),
    Hostile("returns-empty", layer(dx="np.zeros((0, 3))"), (1,)),
    # What cannot be judged.
    Hostile(
        "syntax-error",
        "import numpy as np\n\ndef f_forward(x):\n    return np.sum(x\n\ndef f_backward(dout, cache):\n    pass\n",
        (2,),
        ("syntax", "never closed", "invalid"),
    ),
    Hostile("indentation", "def f(x):\nreturn x\n", (2,), ("indent",), 2),
    Hostile("tabs-and-spaces", "def f(x):\n    y = x\n\tz = y\n    return z\n", (2,), ("indent", "tab")),
    Hostile(
        "python-2",
        "import numpy as np\n\ndef loss(w, x):\n    l = np.sum(w * x)\n    print 'loss', l\n    return l, x\n",
        (2,),
        ("print", "Python 2", "syntax"),
        5,
    ),
    Hostile("empty", "", (2,), ("no ", "nothing", "empty")),
    Hostile("only-comments", "# TODO\n\n", (2,), ("no ", "nothing", "empty")),
    Hostile(
        "no-backward",
        "def affine_forward(x, w, b):\n    return x @ w + b, (x, w, b)\n",
        (2,),
        ("no ", "backward", "gradient"),
    ),
    Hostile(
        "no-forward",
        "def affine_backward(dout, cache):\n    x, w, b = cache\n    return dout @ w.T, x.T @ dout, dout.sum(0)\n",
        (2,),
        ("forward",),
    ),
    Hostile("not-implemented", layer(start="raise NotImplementedError"), (1, 2), ("NotImplemented",)),
    Hostile("still-to-do", layer(end="dx, dw, db = None, None, None"), (1,)),
    # What the functions do not use is not missed.
    Hostile("missing-module", layer(top="import tensorflow_of_another_machine"), (0,)),
    Hostile(
        "missing-module-used",
        layer(top="from layers_of_another_machine import scaled", forward="x = scaled(x)"),
        (2,),
        ("line 2 raises ModuleNotFoundError: No module named 'layers_of_another_machine'",),
        6,
    ),
    Hostile("missing-file", layer(top="data = np.load('cifar10.npy')"), (0,)),
    Hostile(
        "missing-file-used", layer(top="data = np.load('cifar10.npy')", forward="x = x + data"), (2,), ("cifar10",), 6
    ),
    Hostile("undefined-name-in-forward", layer(forward="scale = scael"), (2,), ("scael",), 6),
    Hostile("undefined-name-in-backward", layer(dx="dout @ ww.T"), (1,), ("ww",)),
    Hostile("forward-crashes", layer(forward="x = x @ w.nothing"), (2,), ("nothing",), 6),
    Hostile("cache-unpacked-wrongly", layer(start="x, w = cache"), (1,), ("too many values to unpack",)),
    Hostile("forward-asserts", layer(forward="assert False, 'not done yet'"), (2,), ("not done yet",), 6),
    Hostile("null-bytes", "x = 1\x00\n", (2,)),
    Hostile("not-python", "%PDF-1.4 homework 3, see attached\n", (2,)),
    Hostile("deeply-nested", "x = " + "(" * 3000 + "1" + ")" * 3000 + "\n", (2,)),
    Hostile("very-long-sum", "x = 1\nf = " + " + ".join(["x"] * 5000) + "\ndx = 5000\n", (0, 1, 2)),
    Hostile("not-text", "\ufeff\u202edef f(x):\n    return x\n", (2,)),
)
