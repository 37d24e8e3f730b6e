"""How long compiling takes at 10, 100, 1,000 and 5,000 statements, and `flatgrad --help`.

python benchmarks/compile_time.py              # prints the table
python benchmarks/compile_time.py --write      # and puts it into docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import black  # noqa: E402

import flatgrad  # noqa: E402
from flatgrad.compiler import compile_source  # noqa: E402
from flatgrad.options import Options  # noqa: E402

SIZES = (10, 100, 1_000, 5_000)
PAGE = ROOT / "docs" / "benchmarks.md"

# Lines that a layered model is made of: products, elementwise functions, biases that broadcast, forks, reductions.
LINES = (
    "a{n} = h{p} @ W{w} + b{w}",
    "h{n} = np.tanh(a{p})",
    "s{n} = h{p} * h{q}",
    "m{n} = np.maximum(0, s{p})",
    "c{n} = m{p} - np.mean(m{p}, axis=1, keepdims=True)",
    "h{n} = c{p} / np.sqrt(1 + c{p}**2) + h{q}",
)


def model(statements: int) -> str:
    """A function of so many statements, with shapes claimed; every value is used, many are used twice."""
    weights = 5
    parameters = ", ".join([f'W{i}: "H H", b{i}: "H"' for i in range(weights)])
    lines = ["import numpy as np", "", "", f'def model(x: "N H", {parameters}):', "    h0 = x"]
    last = {"h": 0, "a": 0, "s": 0, "m": 0, "c": 0}
    older = 0
    for n in range(1, statements - 1):
        template = LINES[(n - 1) % len(LINES)]
        used = template.split(" = ")[1]
        source = next(letter for letter in "hasmc" if f"{letter}{{p}}" in used)
        lines.append("    " + template.format(n=n, p=last[source], q=older, w=n % weights))
        name = template[0]
        if name == "h":
            older = last["h"]
        last[name] = n
    lines.append("    return " + " + ".join(f"np.sum({name}{n})" for name, n in last.items() if name == "h" or n))
    return "\n".join(lines) + "\n"


@contextmanager
def measured(module: Any, name: str) -> Iterator[Callable[[], float]]:
    """Add up the time that is spent in a function of a module."""
    original = getattr(module, name)
    spent = 0.0

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal spent
        begin = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            spent += time.perf_counter() - begin

    setattr(module, name, timed)
    try:
        yield lambda: spent
    finally:
        setattr(module, name, original)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one size: without black, and in all."""

    statements: int
    lines: int
    own: float
    whole: float

    @property
    def per_statement(self) -> float:
        """Milliseconds."""
        return 1000 * self.whole / self.statements


def time_one(statements: int, repeats: int) -> Timing:
    source = model(statements)
    assert len(source.split("\n", 4)[4].strip().splitlines()) == statements
    found: list[tuple[float, float]] = []
    text = ""
    for _ in range(repeats):
        with measured(black, "format_str") as in_black:
            begin = time.perf_counter()
            text = compile_source(source, "model.py", Options()).text
            whole = time.perf_counter() - begin
            found.append((whole - in_black(), whole))
            assert in_black() > 0, "black was not called as black.format_str: its time cannot be told apart"
    own, whole = min(found, key=lambda pair: pair[1])
    return Timing(statements, text.count("\n"), own, whole)


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """The least-squares slope of log time over log size."""
    x, y = [math.log(s) for s in sizes], [math.log(s) for s in seconds]
    mean_x, mean_y = statistics.fmean(x), statistics.fmean(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


def help_seconds() -> float:
    """The median of `flatgrad --help` in new processes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    times = []
    for _ in range(15):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "flatgrad", "--help"], check=True, capture_output=True, env=environment)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def page(timings: list[Timing], seconds: float) -> str:
    # The smallest size shows what is there before the first statement, and would flatten the slope.
    large = [timing for timing in timings if timing.statements >= 100]
    sizes = [timing.statements for timing in large]
    rows = "".join(
        f"| {t.statements:,} | {t.lines:,} | {t.own:.3f} s | {t.whole:.3f} s | {t.per_statement:.1f} ms |\n"
        for t in timings
    )
    return f"""\
# Benchmarks

Made by `python benchmarks/compile_time.py --write`: Python {platform.python_version()}, black {black.__version__},
flatgrad {flatgrad.__version__}, {platform.system()} {platform.machine()}, one core; the best of a few runs.
The model is one function of tanh layers with biases that broadcast, centred and scaled, all shapes claimed.

| statements | lines written | our own stages | with black | per statement |
|---:|---:|---:|---:|---:|
{rows}
Time grows with the power {exponent(sizes, [t.own for t in large]):.2f} of the number of statements in our own stages, \
and with {exponent(sizes, [t.whole for t in large]):.2f} in all
(fitted from 100 statements on).

`flatgrad --help` takes {seconds:.3f} s (median of 15 new processes).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    arguments = parser.parse_args()
    time_one(10, 1)  # imports, and what is made once
    timings = [time_one(size, 5 if size <= 100 else 2) for size in arguments.sizes]
    text = page(timings, help_seconds())
    print(text)
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
