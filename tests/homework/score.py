"""Scores `flatgrad diff` on the test sets.

`python -m tests.homework.score [--set NAME] [--only NAME] [--jobs N] [--verbose]`
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from typing import Any

from tests.homework.hostile import HOSTILE, Hostile
from tests.homework.judging import Finding, alarms, finding, judged
from tests.homework.mistakes import MISTAKES, Mistake
from tests.homework.pairs import PAIRS, Pair
from tests.homework.runs import RUNS, original
from tests.homework.variants import VARIANTS

PATIENCE = 60  # seconds that the judge may take for a hostile homework


def judge_correct(file: str) -> list[str]:
    functions = tuple(run.function for run in RUNS if run.file == file)
    return guarded(lambda: alarms(judged(original(file), file), functions))


def judge_variant(variant: Mistake) -> list[str]:
    return guarded(lambda: alarms(judged(variant.text(), variant.homework), (variant.function,)))


def judge_pair(pair: Pair) -> list[str]:
    return guarded(
        lambda: alarms(judged(original(pair.homework), pair.homework, pair.model_file(), pair.names), (pair.function,))
    )


def judge_mistake(mistake: Mistake) -> Finding:
    try:
        return finding(mistake, judged(mistake.text(), mistake.homework))
    except Exception:  # the judge's own crash is a finding of the score
        nothing = tuple(False for _ in mistake.faults)
        return Finding(False, nothing, nothing, notes=("CRASH", *last_lines()))


def judge_hostile(hostile: Hostile) -> list[str]:
    """In a process of its own, which is killed when the judge itself hangs."""
    receiver, sender = Pipe(duplex=False)
    process = Process(target=send_complaints, args=(hostile, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(PATIENCE) else [f"the judge takes longer than {PATIENCE} s"]
    except EOFError:
        return ["the judge died"]
    finally:
        process.kill()


def send_complaints(hostile: Hostile, sender: Connection) -> None:
    sender.send(guarded(lambda: hostile.complaints(judged(hostile.text, "hostile.py"))))


def guarded(task: Callable[[], list[str]]) -> list[str]:
    try:
        return task()
    except Exception:  # as above
        return ["CRASH", *last_lines()]


def last_lines() -> list[str]:
    return traceback.format_exc().strip().splitlines()[-5:]


def timed(task: Callable[[Any], Any], item: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    return task(item), time.perf_counter() - start


def score(
    title: str,
    task: Callable[[Any], Any],
    items: Sequence[Any],
    name: Callable[[Any], str],
    options: argparse.Namespace,
) -> list[tuple[str, Any]]:
    chosen = [item for item in items if options.only in name(item)]
    if not chosen:
        return []
    with ProcessPoolExecutor(options.jobs) as pool:
        results = list(pool.map(timed, [task] * len(chosen), chosen))
    seconds = [spent for _, spent in results]
    print(f"\n{title}: {len(chosen)}, {sum(seconds) / len(seconds):.1f} s each, {max(seconds):.1f} s the longest")
    return [(name(item), result) for item, (result, _) in zip(chosen, results, strict=True)]


def print_alarms(results: list[tuple[str, list[str]]], word: str) -> None:
    bad = [(name, found) for name, found in results if found]
    if results:
        print(f"  {word}: {len(bad)} of {len(results)}")
    for name, found in bad:
        print(f"  - {name}", *found, sep="\n      ")


def print_findings(results: list[tuple[str, Finding]], verbose: bool) -> None:
    if not results:
        return
    faults = sum(len(result.lines) for _, result in results)
    counts: Counter[str] = Counter()
    for _, result in results:
        counts["found"] += result.found
        counts["line"] += sum(result.lines)
        counts["reason"] += sum(result.reasons)
        counts["blamed"] += bool(result.blamed)
    print(f"  found: {counts['found']} of {len(results)} ({counts['found'] / len(results):.1%})")
    print(f"  line right: {counts['line']} of {faults} ({counts['line'] / faults:.1%})")
    print(f"  reason right: {counts['reason']} of {faults} ({counts['reason'] / faults:.1%})")
    print(f"  blamed something that only follows: {counts['blamed']}")
    for name, result in results:
        right = result.found and all(result.lines) and all(result.reasons) and not result.blamed
        if right and not verbose:
            continue
        words = [
            "" if result.found else "NOT FOUND",
            "" if all(result.lines) else "LINE",
            "" if all(result.reasons) else "REASON",
        ]
        print(f"  - {name}: {' '.join(word for word in words if word)}{' BLAMED' if result.blamed else ''}")
        print(*(f"      {note}" for note in result.notes), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("correct", "variants", "pairs", "mistakes", "hostile"), help="only this set")
    parser.add_argument("--only", default="", metavar="NAME", help="only what has NAME in its name")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--verbose", action="store_true", help="also what is judged right")
    options = parser.parse_args()

    def wanted(name: str) -> bool:
        return options.set in (None, name)

    if wanted("correct"):
        files = sorted({run.file for run in RUNS})
        print_alarms(score("correct homework", judge_correct, files, str, options), "false alarms")
    if wanted("variants"):
        results = score("harmless changes", judge_variant, VARIANTS, lambda variant: variant.name, options)
        print_alarms(results, "false alarms")
    if wanted("pairs"):
        results = score("with a model", judge_pair, PAIRS, lambda pair: f"{pair.homework}:{pair.function}", options)
        print_alarms(results, "false alarms")
    if wanted("mistakes"):
        findings = score("mistakes", judge_mistake, MISTAKES, lambda mistake: mistake.name, options)
        print_findings(findings, options.verbose)
    if wanted("hostile"):
        results = score("hostile homework", judge_hostile, HOSTILE, lambda hostile: hostile.name, options)
        print_alarms(results, "not as expected")


if __name__ == "__main__":
    main()
