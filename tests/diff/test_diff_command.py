"""`flatgrad diff`: which file is the model, what is written where, which exit code says what. The judge is played."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flatgrad.diff import command
from flatgrad.diff.command import File
from flatgrad.diff.options import DEFAULT_TIMEOUT, CompareOptions
from flatgrad.diff.verdicts import Report
from tests.command import Run
from tests.diff.made import CLEAN, FAILED, PROBLEM

MODEL = "import numpy as np\n\n\ndef f(x):\n    return np.sum(x * x)\n"
HOMEWORK = "import numpy as np\n\n\ndef f(x):\n    loss = np.sum(x * x)\n    dx = 2 * x\n    return loss, dx\n"


class Judge:
    """Notes what is judged against what, and answers with the report that a file's name says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, CompareOptions]] = []
        self.answers: dict[str, Report | Exception] = {}

    def __call__(self, homework: File, model: File | None, options: CompareOptions) -> tuple[Report, ...]:
        self.calls.append((homework.name, None if model is None else model.name, options))
        answer = self.answers.get(homework.name, CLEAN)
        if isinstance(answer, Exception):
            raise answer
        return (replace(answer, homework=homework.name),)

    @property
    def pairs(self) -> list[tuple[str, str | None]]:
        return [(homework, model) for homework, model, _ in self.calls]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    made = Judge()
    monkeypatch.setattr(command, "judge", made)
    return made


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    for name in ("hw.py", "alice.py", "bob.py"):
        (tmp_path / name).write_text(HOMEWORK)
    return tmp_path


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return Run(capfdbinary, "diff")


@pytest.mark.parametrize(
    ("arguments", "pairs"),
    [
        (["hw.py"], [("hw.py", None)]),
        (["model.py"], [("model.py", None)]),
        (["model.py", "hw.py"], [("hw.py", "model.py")]),
        (["model.py", "alice.py", "bob.py"], [("alice.py", "model.py"), ("bob.py", "model.py")]),
        (["alice.py", "bob.py"], [("alice.py", None), ("bob.py", None)]),
        (["--model", "alice.py", "bob.py"], [("bob.py", "alice.py")]),
        (["--model", "alice.py", "bob.py", "hw.py"], [("bob.py", "alice.py"), ("hw.py", "alice.py")]),
        (["hw.py", "hw.py"], [("hw.py", None)]),
    ],
)
def test_which_file_is_the_model(run: Run, judge: Judge, arguments: list[str], pairs: list[tuple[str, str]]) -> None:
    code, _, err = run(*arguments)
    assert code == 0
    assert judge.pairs == pairs
    assert ("it is judged too" in err) == (arguments == ["alice.py", "bob.py"] or arguments == ["hw.py", "hw.py"])


def test_a_first_file_that_cannot_be_read_is_a_homework(run: Run, judge: Judge, folder: Path) -> None:
    (folder / "broken.py").write_text("def f(:\n")
    assert run("broken.py", "hw.py")[0] == 0
    assert judge.pairs == [("broken.py", None), ("hw.py", None)]


def test_the_options_arrive(run: Run, judge: Judge, folder: Path) -> None:
    (folder / "in.npz").write_bytes(b"")
    run("hw.py")
    assert judge.calls[-1][2] == CompareOptions(timeout=DEFAULT_TIMEOUT)
    run(
        "hw.py",
        "--function",
        "f",
        "--function",
        "g",
        "--names",
        "delta1=h,d2=dz",
        "--names",
        "self.t=W",
        "--wrt",
        "W,b",
    )
    assert judge.calls[-1][2] == CompareOptions(
        ("f", "g"), (("delta1", "h"), ("d2", "dz"), ("self.t", "W")), ("W", "b")
    )
    run("hw.py", "--inputs", "in.npz", "--seed", "7", "--timeout", "0.5", "--names", 'grads["q"]=W')
    assert judge.calls[-1][2] == CompareOptions((), (('grads["q"]', "W"),), (), Path("in.npz"), 7, 0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["missing.py"],
        ["."],
        ["-", "-"],
        ["--model", "-", "-"],
        ["hw.py", "--names", "a"],
        ["hw.py", "--names", "=h"],
        ["hw.py", "--names", "a=b=3"],
        ["hw.py", "--names", "a=b,a=c"],
        ["hw.py", "--timeout", "0"],
        ["hw.py", "--seed", "-1"],
        ["hw.py", "--inputs", "missing.npz"],
        ["hw.py", "--format", "pdf"],
        ["hw.py", "-o", "hw.py"],
        ["model.py", "hw.py", "-o", "./model.py"],
        ["--model", "model.py", "hw.py", "-o", "model.py"],
    ],
)
def test_wrong_usage(run: Run, judge: Judge, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err
    assert not judge.calls


def test_a_homework_is_never_written(run: Run, judge: Judge, folder: Path) -> None:
    os.link(folder / "hw.py", folder / "other.py")
    (folder / "link.py").symlink_to("hw.py")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    for target in ("other.py", "link.py", str(folder / "hw.py")):
        assert run("hw.py", "-o", target)[0] == 2
    run("model.py", "hw.py", "--format", "json")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


@pytest.mark.parametrize(("reports", "code"), [([CLEAN], 0), ([CLEAN, FAILED], 1), ([PROBLEM, FAILED, CLEAN], 2)])
def test_the_exit_code_is_the_worst(run: Run, judge: Judge, reports: list[Report], code: int) -> None:
    names = ["hw.py", "alice.py", "bob.py"][: len(reports)]
    judge.answers = dict(zip(names, reports, strict=True))
    assert run(*names)[0] == code


def test_the_report_goes_to_stdout_and_nothing_else_does(run: Run, judge: Judge) -> None:
    judge.answers = {"hw.py": FAILED}
    code, out, err = run("hw.py")
    assert code == 1
    assert out.startswith("hw.py: net\n")
    assert out.endswith("1 right, 2 wrong, 1 follows from them, 1 missing, 1 not judged\n")
    assert "\x1b" not in out
    assert err == ""
    assert json.loads(run("hw.py", "--format", "json")[1])["homework"] == "hw.py"
    assert run("hw.py", "--format", "html")[1].startswith("<!DOCTYPE html>")
    assert run("hw.py", "-o", "-")[1] == out


def test_several_reports_are_one_text_and_one_list(run: Run, judge: Judge) -> None:
    out = run("model.py", "alice.py", "bob.py")[1]
    assert out.index("alice.py: net") < out.index("bob.py: net")
    data = json.loads(run("model.py", "alice.py", "bob.py", "--format", "json")[1])
    assert [one["homework"] for one in data] == ["alice.py", "bob.py"]


def test_a_report_into_a_file(run: Run, judge: Judge, folder: Path) -> None:
    judge.answers = {"hw.py": FAILED}
    code, out, err = run("hw.py", "--format", "html", "-o", "out/report.html")
    assert (code, out) == (1, "")
    assert "wrote out" in err
    assert (folder / "out" / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_hint_keeps_the_answer(run: Run, judge: Judge) -> None:
    judge.answers = {"hw.py": FAILED}
    for style in ("text", "json", "html"):
        assert "reg * 2 * W2" in run("hw.py", "--format", style)[1]
        code, out, _ = run("hw.py", "--hint", "--format", style)
        assert code == 1
        assert "reg * 2 * W2" not in out
        assert "2 * reg * W2" not in out
        assert "reads W2 too" in out


def test_a_defect_of_the_judge_leaves_the_others_judged(run: Run, judge: Judge) -> None:
    judge.answers = {"alice.py": ZeroDivisionError("oh")}
    code, out, err = run("alice.py", "bob.py", "--format", "json")
    assert code == 2
    assert "internal error in judging alice.py: ZeroDivisionError: oh" in err
    first, second = json.loads(out)
    assert "internal error" in first["problem"]
    assert second["ok"] is True


def test_bytes_that_are_no_text_are_a_report(run: Run, judge: Judge, folder: Path) -> None:
    (folder / "latin.py").write_bytes(b"x = 1\n# caf\xe9\n")
    code, out, _ = run("hw.py", "latin.py", "--format", "json")
    assert code == 2
    first, second = json.loads(out)
    assert first["ok"] is True
    assert (second["homework"], second["problem_line"]) == ("latin.py", 2)
    assert "not valid utf-8" in second["problem"]
    assert run("--model", "latin.py", "hw.py")[0] == 2


def test_stdin(run: Run, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(HOMEWORK.encode())

    monkeypatch.setattr("sys.stdin", Stdin())
    assert run("model.py", "-")[0] == 0
    assert judge.pairs == [("<stdin>", "model.py")]


def test_a_homework_without_a_report_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    def compare(text: str, name: str, model: object, options: object) -> tuple[Report, ...]:
        assert (text, name, model) == ("x", "hw.py", ("y", "m.py"))
        return ()

    module = types.ModuleType("flatgrad.diff.compare")
    module.compare = compare  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flatgrad.diff.compare", module)
    (report,) = command.judge(File("hw.py", "x", "hw.py"), File("m.py", "y", "m.py"), CompareOptions())
    assert "no gradient" in report.problem
    assert report.exit_code == 2


def test_isolation_is_a_table(run: Run, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    from flatgrad.sandbox import protection

    rows = [("time of a call", True, "the process is killed"), ("network", False, "nothing takes it away")]
    monkeypatch.setattr(protection, "describe", lambda: rows)
    code, out, _ = run("--isolation")
    assert code == 0
    assert out == "time of a call  yes  the process is killed\nnetwork         NO   nothing takes it away\n"


def test_colors_and_width_are_those_of_the_terminal(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flatgrad.diff.command.wants_color", lambda stream: True)
    assert "\x1b[31m" in command._text([FAILED], command.Output())
    assert "\x1b" not in command._text([FAILED], command.Output(target=Path("report.txt")))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    assert "flatgrad:" in command._text([FAILED], command.Output()).replace("\x1b[2m", "")
