"""The command line: what goes where, and which exit code says what."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import flatgrad
from flatgrad import __version__, cli, compiler
from tests.command import Run

PRODUCT = "import numpy as np\n\n\ndef product(x, y):\n    z = x * y\n    return z\n"
TANH = "import numpy as np\n\n\ndef act(x):\n    h = np.tanh(x)\n    return h\n"
REFUSED = "import numpy as np\n\n\ndef f(x):\n    a = np.unwrap(x)\n    b = np.unwrap(a)\n    return a + b\n"


# A process that runs elsewhere finds the package, also in a checkout where nothing is installed.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(flatgrad.__file__).parent.parent), os.getenv("PYTHONPATH")))),
}


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    options.setdefault("env", ENVIRONMENT)
    return subprocess.run([sys.executable, *arguments], capture_output=True, check=False, timeout=120, **options)


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return Run(capfdbinary)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")  # so that no file further up is read
    (tmp_path / "product.py").write_text(PRODUCT)
    (tmp_path / "tanh.py").write_text(TANH)
    (tmp_path / "refused.py").write_text(REFUSED)
    return tmp_path


def test_writes_generated_below_the_current_folder(run: Run, folder: Path) -> None:
    code, out, err = run("compile", "product.py")
    assert (code, out) == (0, "")
    assert "wrote generated/product_grad.py" in err.replace(os.sep, "/")
    text = (folder / "generated" / "product_grad.py").read_text(encoding="utf-8")
    assert "def product_backward(dout, cache):" in text or "def product_backward(dz, cache):" in text
    ast.parse(text)
    assert sorted(p.name for p in (folder / "generated").iterdir()) == ["product_grad.py"]


def test_stdout_has_the_module_and_nothing_else(run: Run, folder: Path) -> None:
    code, out, _ = run("compile", "product.py", "-o", "-")
    assert code == 0
    assert "def product_forward(x, y):" in out
    ast.parse(out)
    assert not (folder / "generated").exists()


def test_the_same_bytes_wherever_it_is_written(run: Run, folder: Path) -> None:
    run("compile", "product.py")
    _, out, _ = run("compile", "product.py", "-o", "-")
    run("compile", "product.py", "-o", "own.py")
    assert (folder / "own.py").read_bytes() == (folder / "generated" / "product_grad.py").read_bytes() == out.encode()


def test_stdin(folder: Path) -> None:
    done = python("-m", "flatgrad", "compile", "-", input=PRODUCT.encode())
    assert done.returncode == 0, done.stderr.decode()
    assert b"def product_forward(x, y):" in done.stdout
    done = python("-m", "flatgrad", "compile", "-", "-o", "in.py", input=PRODUCT.encode())
    assert (done.returncode, done.stdout) == (0, b"")
    assert "def product_forward(x, y):" in (folder / "in.py").read_text(encoding="utf-8")


def test_a_folder_as_target_takes_several_models(run: Run, folder: Path) -> None:
    (folder / "out").mkdir()
    code, _, _ = run("compile", "product.py", "tanh.py", "-o", "out")
    assert code == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["product_grad.py", "tanh_grad.py"]


def test_an_unchanged_file_is_not_touched(run: Run, folder: Path) -> None:
    run("compile", "product.py")
    path = folder / "generated" / "product_grad.py"
    os.utime(path, (1, 1))
    code, _, err = run("compile", "product.py")
    assert code == 0
    assert "is up to date" in err
    assert path.stat().st_mtime == 1


def test_a_changed_file_keeps_its_mode_and_its_link(run: Run, folder: Path) -> None:
    real = folder / "real.py"
    real.write_text("old")
    real.chmod(0o640)
    (folder / "link.py").symlink_to(real)
    assert run("compile", "product.py", "-o", "link.py")[0] == 0
    assert (folder / "link.py").is_symlink()
    assert "product_forward" in real.read_text(encoding="utf-8")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_has_the_usual_mode(run: Run, folder: Path) -> None:
    (folder / "usual").write_text("")
    run("compile", "product.py")
    assert (folder / "generated" / "product_grad.py").stat().st_mode == (folder / "usual").stat().st_mode


def test_refusal_reports_everything_and_writes_nothing(run: Run, folder: Path) -> None:
    code, out, err = run("compile", "refused.py", "product.py")
    assert (code, out) == (2, "")
    assert "error[FG021]" in err
    assert "refused.py:5:" in err
    assert "refused.py:6:" in err
    assert "\x1b" not in err
    assert not (folder / "generated").exists()


def test_refusal_leaves_an_old_file_alone(run: Run, folder: Path) -> None:
    old = folder / "old.py"
    old.write_text("old")
    os.utime(old, (1, 1))
    assert run("compile", "refused.py", "-o", "old.py")[0] == 2
    assert (old.read_text(), old.stat().st_mtime) == ("old", 1)


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "old.py").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    before = sorted(folder.iterdir())
    code, _, err = run("compile", "product.py", "-o", "old.py")
    assert code == 2
    assert "No space left on device" in err
    assert sorted(folder.iterdir()) == before
    assert (folder / "old.py").read_text() == "old"


def test_check_tells_missing_and_stale(run: Run, folder: Path) -> None:
    code, out, err = run("compile", "--check", "product.py", "tanh.py")
    assert (code, out) == (1, "")
    assert "product_grad.py: missing" in err
    assert not (folder / "generated").exists()
    run("compile", "product.py", "tanh.py")
    assert run("compile", "--check", "product.py", "tanh.py")[0] == 0
    path = folder / "generated" / "tanh_grad.py"
    path.write_text(path.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    edited = path.read_bytes()
    code, _, err = run("compile", "--check", "product.py", "tanh.py")
    assert code == 1
    assert "tanh_grad.py: stale" in err
    assert "product_grad.py" not in err
    assert path.read_bytes() == edited


def test_check_does_not_mind_the_line_ends_that_git_made(run: Run, folder: Path) -> None:
    run("compile", "product.py")
    path = folder / "generated" / "product_grad.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run("compile", "--check", "product.py")[0] == 0


def test_check_of_a_refused_model_is_a_failure(run: Run) -> None:
    assert run("compile", "--check", "refused.py")[0] == 2


def test_diff_shows_the_change_and_writes_nothing(run: Run, folder: Path) -> None:
    code, out, _ = run("compile", "--diff", "product.py")
    assert code == 0
    assert "+def product_forward(x, y):" in out.splitlines()
    assert not (folder / "generated").exists()
    run("compile", "product.py")
    assert run("compile", "--diff", "product.py")[:2] == (0, "")
    path = folder / "generated" / "product_grad.py"
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "  # edited", encoding="utf-8")
    code, out, _ = run("compile", "--diff", "--check", "product.py")
    assert code == 1
    assert "\\ No newline at end of file" in out
    assert [line for line in out.splitlines() if line.startswith("-") and line.endswith("# edited")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("product.py", "-o", "product.py"), "would replace it"),
        (("product.py", "tanh.py", "-o", "one.py"), "takes one model"),
        (("product.py", "tanh.py", "-o", "-"), "takes one model"),
        (("product.py", "./product.py"), "two models would be written to"),
        (("-", "-", "-o", "-"), "takes one model"),
        (("product.py", "--check", "-o", "-"), "name it with -o PATH"),
        (("product.py", "--diff", "--emit", "ir"), "name it with -o PATH"),
        (("missing.py",), "does not exist"),
        ((".",), "is a directory"),
        ((), "Missing argument"),
        (("product.py", "--shape", "X"), "write it as X=N,D"),
        (("product.py", "--shape", "X=N", "--shape", "X=M"), "given twice"),
        (("product.py", "--wrt", "a b"), "is not a name"),
        (("product.py", "--gates", "all"), "'all' is not one of"),
        (("product.py", "--nonsense"), "No such option"),
    ],
)
def test_wrong_usage(run: Run, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    before = sorted(folder.iterdir())
    code, out, err = run("compile", *arguments)
    assert (code, out) == (2, "")
    assert message in err.replace("\n", " ")
    assert sorted(folder.iterdir()) == before
    assert (folder / "product.py").read_text() == PRODUCT


def test_every_option_reaches_the_compiler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[compiler.Options] = []

    def fake(source: str, filename: str, options: compiler.Options) -> compiler.Compiled:
        seen.append(options)
        return compiler.Compiled("text = 1\n", "ir", (), ())

    monkeypatch.setattr(compiler, "compile_source", fake)
    run(
        "compile", "product.py", "-o", "-", "--function", "f", "--function", "g", "--wrt", "W1,b1", "--wrt", "x",
        "--output", "loss", "--shape", "X=N,D", "--shape", "reg=", "--gates", "primitive", "--stages", "relations",
        "--accumulate", "always",
    )  # fmt: skip
    run("compile", "product.py", "-o", "-")
    assert seen == [
        compiler.Options(
            ("f", "g"), ("W1", "b1", "x"), "loss", (("X", "N,D"), ("reg", "")), "primitive", "relations", "always"
        ),
        compiler.Options(),
    ]
    assert run("compile", "product.py", "--emit", "ir")[1] == "ir"


def test_the_command_line_wins_over_pyproject(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[compiler.Options] = []

    def fake(source: str, filename: str, options: compiler.Options) -> compiler.Compiled:
        seen.append(options)
        return compiler.Compiled("text = 1\n", "ir", (), ())

    monkeypatch.setattr(compiler, "compile_source", fake)
    (folder / "pyproject.toml").write_text(
        '[tool.flatgrad]\ngates = "primitive"\nstages = "relations"\n[tool.flatgrad.models."tanh.py"]\nwrt = "x"\n'
    )
    run("compile", "product.py", "tanh.py", "--gates", "grouped")
    assert [(o.gates, o.stages, o.wrt) for o in seen] == [
        ("grouped", "relations", ()),
        ("grouped", "relations", ("x",)),
    ]


def test_unknown_keys_in_pyproject_are_refused(run: Run, folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.flatgrad]\nfunktion = 'f'\n")
    code, out, err = run("compile", "product.py")
    assert (code, out) == (2, "")
    assert "error[FG082]: no such key in [tool.flatgrad]: funktion" in err
    assert "pyproject.toml:2:1" in err


def test_an_encoding_is_read_as_declared(run: Run, folder: Path) -> None:
    (folder / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\n" + PRODUCT.encode() + b"# \xfc\n")
    assert run("compile", "latin.py")[0] == 0
    (folder / "broken.py").write_bytes(PRODUCT.encode() + b"# \xfc\n")
    code, _, err = run("compile", "broken.py")
    assert code == 2
    assert "error[FG003]" in err
    assert "broken.py:7:3" in err
    (folder / "bom.py").write_bytes(b"\xef\xbb\xbf" + PRODUCT.replace("\n", "\r\n").encode())
    code, out, _ = run("compile", "bom.py", "-o", "-")
    assert code == 0
    assert "\r" not in out


def test_an_internal_error_asks_for_a_report(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("walk lost its way")

    monkeypatch.setattr(compiler, "compile_source", broken)
    monkeypatch.delenv(cli.TRACEBACK_VARIABLE, raising=False)
    code, out, err = run("compile", "product.py")
    assert (code, out) == (2, "")
    assert "internal error in compiling product.py: AssertionError: walk lost its way" in err
    assert "please report it" in err
    assert "Traceback" not in err
    monkeypatch.setenv(cli.TRACEBACK_VARIABLE, "1")
    assert "Traceback" in run("compile", "product.py")[2]


def test_help_and_version(run: Run) -> None:
    for arguments in (("--help",), ("-h",), ("compile", "--help")):
        code, out, err = run(*arguments)
        assert (code, err) == (0, "")
        assert "Usage: flatgrad" in out
    code, out, _ = run("--version")
    assert (code, out.strip()) == (0, f"flatgrad, version {__version__}")


def test_no_command_is_wrong_usage(run: Run) -> None:
    code, out, err = run()
    assert code in (0, 2)
    assert "Usage: flatgrad" in out + err
    assert run("unknown")[0] == 2


def test_module_and_command_are_the_same() -> None:
    assert python("-m", "flatgrad", "--help").stdout.startswith(b"Usage: flatgrad ")


def test_help_is_instant_and_imports_nothing_slow() -> None:
    code = "import sys; from flatgrad.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    loaded = set(python("-c", code).stdout.decode().splitlines()[-1].split())
    assert "flatgrad.cli" in loaded
    assert not loaded & {"numpy", "sympy", "black", "jinja2", "tomllib", "flatgrad.compiler"}
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        python("-m", "flatgrad", "--help")
        times.append(time.perf_counter() - begin)
    # The goal of 0.2 s is measured in benchmarks/; a machine under load must not fail the tests.
    assert min(times) < 0.5


def test_gates_prints_the_table(run: Run) -> None:
    from flatgrad.gates.entry import TABLE

    code, out, _ = run("gates")
    assert code == 0
    assert "np.tanh(x)" in out
    assert "dx = dz * (1 - z**2)" in out
    assert f"{len(TABLE)} gates" in out
    code, out, _ = run("gates", "--format", "markdown")
    assert code == 0
    rows = [line for line in out.splitlines() if line.startswith("| ") and not line.startswith("| gate |")]
    assert len(rows) == len(TABLE)
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    code, out, _ = run("completion", shell)
    assert code == 0
    assert cli.COMPLETE_VARIABLE in out
    assert "flatgrad" in out
    assert run("completion", "powershell")[0] == 2


def completions(folder: Path, words: str, cword: int) -> list[str]:
    asked = {cli.COMPLETE_VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(cword)}
    done = python("-m", "flatgrad", env={**ENVIRONMENT, **asked}, cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return [line.partition(",")[2] for line in done.stdout.decode().splitlines()]


def test_completion_knows_commands_options_and_functions(folder: Path) -> None:
    assert completions(folder, "flatgrad comp", 1) == ["compile", "completion"]
    assert "--shape" in completions(folder, "flatgrad compile --", 2)
    assert completions(folder, "flatgrad compile --gates ", 3) == ["grouped", "primitive"]
    assert completions(folder, "flatgrad compile product.py --function ", 4) == ["product"]


def test_a_reader_that_leaves_early_is_no_crash(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flatgrad", "gates"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read().decode()
    process.wait(timeout=60)
    process.stderr.close()
    assert "Traceback" not in error
    assert "internal error" not in error


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"# caf\xe9\n", "m.py:1:6"),
        (b"a = 1\r\nb = 'ab\xff'\r\n", "m.py:2:8"),
        ("a = 'ü'".encode() + b"\r# \xff\r", "m.py:2:3"),
        (b"# coding: nonsense\n", "m.py"),
        (b"# coding: utf-8\n\n\n# \xff\n", "m.py:4:3"),
        (b"a = 1\n\0\n", "m.py:2:1"),
    ],
)
def test_bytes_that_are_no_text_are_shown(run: Run, folder: Path, data: bytes, place: str) -> None:
    (folder / "m.py").write_bytes(data)
    code, _, err = run("compile", "m.py")
    assert code == 2
    assert "error[FG00" in err
    assert f"--> {place}\n" in err
    assert (" | " in err) == (":" in place)
