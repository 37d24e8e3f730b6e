"""The judge's end of the pipe: questions and answers, failures by their kind, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from flatgrad.sandbox.process import KINDS, Limits, Sandbox, SandboxFailure
from tests.sandbox.support import SERVICE, on_linux

TWICE = "def handle(request, arrays):\n    return {'got': request}, {n: 2 * a for n, a in arrays.items()}\n"


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    path = tmp_path / "twice.py"
    path.write_text(TWICE)
    return path


def test_a_question_is_answered(twice: Path) -> None:
    with Sandbox(twice) as box:
        for n in range(3):
            reply, arrays = box.call({"n": n, "text": "ü"}, {"x": np.full((2, 3), n), "s": np.array(1.5)}, timeout=30.0)
            assert reply == {"got": {"n": n, "text": "ü"}}
            assert np.array_equal(arrays["x"], np.full((2, 3), 2 * n))
            assert arrays["s"] == 3.0
            assert arrays["s"].shape == ()


def test_a_service_has_parts_that_homework_cannot_import(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("FACTOR = 3\n")
    (tmp_path / "two.py").write_text("from flatgrad.one import FACTOR\n\ndef times(n): return FACTOR * n\n")
    service = tmp_path / "service.py"
    service.write_text(
        "from flatgrad.two import times\n\n"
        "def handle(request, arrays):\n"
        "    try:\n"
        "        import flatgrad.two\n"
        "    except ImportError:\n"
        "        return {'times': times(request['n'])}, {}\n"
        "    return {}, {}\n"
    )
    parts = {"flatgrad.one": tmp_path / "one.py", "flatgrad.two": tmp_path / "two.py"}
    with Sandbox(service, parts=parts) as box:
        assert box.call({"n": 2}, {}, timeout=30.0)[0] == {"times": 6}


def test_large_arrays_go_both_ways(twice: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3000, 1000))  # 24 MB, many times what a pipe holds
    with Sandbox(twice) as box:
        assert np.array_equal(box.call({}, {"x": x}, timeout=60.0)[1]["x"], 2 * x)


def test_the_folder_is_empty_and_goes(twice: Path) -> None:
    with Sandbox(twice) as box:
        folder = box.folder
        assert list(folder.iterdir()) == []
        (folder / "locked").mkdir(mode=0o500)
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "c").symlink_to("/")
        (folder / "a" / "b").chmod(0)
    assert not folder.exists()
    assert Path("/").is_dir()


def test_homework_finds_no_environment_and_no_own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s")
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    code = "import os, sys; value = [sorted(os.environ), os.getcwd(), sys.path, sys.argv, sys.flags.isolated]"
    with Sandbox(SERVICE) as box:
        names, folder, path, arguments, isolated = box.call({"code": code}, {}, 30.0)[0]["value"]
        assert folder == str(box.folder)
    # LC_CTYPE is Python's own doing, where there is no locale.
    others = {name for name in names if not name.endswith("_THREADS")}
    assert others <= {"TMPDIR", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
    assert isolated == 1
    assert str(Path.cwd()) not in path
    assert arguments[0].endswith("worker.py")


def test_homework_does_not_see_the_judges_modules() -> None:
    code = "import sys; value = [name for name in sys.modules if 'flatgrad' in name]"
    with Sandbox(SERVICE) as box:
        assert box.call({"code": code}, {}, 30.0)[0]["value"] == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("[]", "no dict"),
        ("None", "no dict"),
        ("{'a': object()}", "JSON"),
        ("{'a': {1, 2}}", "JSON"),
        ("{'a': 'x' * 10**8}", "bytes"),
        ("{'a': 1 / 0}", "ZeroDivisionError: division by zero"),
        ("handel", "NameError"),
    ],
)
def test_a_service_that_gives_no_answer_is_garbled(answer: str, words: str) -> None:
    with Sandbox(SERVICE) as box, pytest.raises(SandboxFailure, match=words) as caught:
        box.call({"answer": answer}, {}, 30.0)
    assert caught.value.kind == "garbled"


def test_sys_exit_of_the_service_is_said() -> None:
    with Sandbox(SERVICE) as box, pytest.raises(SandboxFailure, match=r"sys\.exit") as caught:
        box.call({"answer": "exit()"}, {}, 30.0)
    assert caught.value.kind == "exited"


def test_after_a_failure_the_box_is_dead() -> None:
    with Sandbox(SERVICE) as box:
        with pytest.raises(SandboxFailure) as caught:
            box.call({"code": "import os; os._exit(3)"}, {}, 30.0)
        assert (caught.value.kind, caught.value.detail) == ("exited", "the process ended with exit code 3")
        with pytest.raises(SandboxFailure, match="has ended: exited: the process ended with exit code 3") as caught:
            box.call({"code": ""}, {}, 30.0)
        assert caught.value.kind in KINDS
    with pytest.raises(SandboxFailure):
        Sandbox(SERVICE).call({}, {}, 1.0)


def test_the_time_of_a_call_is_kept() -> None:
    with Sandbox(SERVICE) as box:
        started = time.monotonic()
        with pytest.raises(SandboxFailure, match=r"no answer within 0\.3 s") as caught:
            box.call({"code": "while True: pass"}, {}, 0.3)
        assert caught.value.kind == "timeout"
        assert 0.3 <= time.monotonic() - started < 5


def test_the_time_is_kept_while_the_question_is_sent() -> None:
    """A process that no longer reads must not hold the judge up: the question is larger than the pipe."""
    with Sandbox(SERVICE) as box:
        number = box.call({"code": "import os; value = os.getpid()"}, {}, 30.0)[0]["value"]
        os.kill(number, signal.SIGSTOP)
        with pytest.raises(SandboxFailure) as caught:
            box.call({}, {"x": np.zeros(10**7)}, 0.5)
        assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def handle(", "SyntaxError"),
        ("import no_such_module", "no_such_module"),
        ("raise SystemExit(3)", "exit code 3"),
        ("while True: pass", "2 s"),
    ],
)
def test_a_service_that_does_not_load_is_said(text: str, words: str, tmp_path: Path) -> None:
    service = tmp_path / "service.py"
    service.write_text(text)
    limits = Limits(startup=2.0 if "while" in text else 60.0)
    with pytest.raises(SandboxFailure, match=words) as caught, Sandbox(service, limits):
        pass
    assert caught.value.kind == "startup"


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SandboxFailure, match=r"gone\.py") as caught, Sandbox(tmp_path / "gone.py"):
        pass
    assert caught.value.kind == "startup"


def test_no_interpreter_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("", "/no/such/python"):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(SandboxFailure) as caught, Sandbox(SERVICE):
            pass
        assert caught.value.kind == "startup"


def test_little_memory_is_said_at_the_start_or_by_homework() -> None:
    with Sandbox(SERVICE, Limits(memory=200 * 2**20)) as box:
        assert box.call({"code": "a = bytearray(150 * 2**20)"}, {}, 30.0)[0]["error"].startswith("MemoryError")


def test_nothing_is_left_open_or_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    for code in ("", "import os; os._exit(0)", "while True: pass"):
        try:
            with Sandbox(SERVICE) as box:
                box.call({"code": code}, {}, 0.5)
        except SandboxFailure:
            pass
    assert list(tmp_path.iterdir()) == []
    assert len(list(descriptors.iterdir())) == before


def test_boxes_work_side_by_side_and_from_threads(twice: Path) -> None:
    results: dict[int, float] = {}

    def ask(n: int) -> None:
        with Sandbox(twice) as box:
            for _ in range(20):
                results[n] = float(box.call({}, {"x": np.array(float(n))}, 60.0)[1]["x"])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {0: 0.0, 1: 2.0, 2: 4.0}


def test_an_interrupt_ends_the_process(monkeypatch: pytest.MonkeyPatch, twice: Path) -> None:
    from flatgrad.sandbox import messages

    with Sandbox(twice) as box:

        def interrupt(*arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(messages, "decode_header", interrupt)
        with pytest.raises(KeyboardInterrupt):
            box.call({}, {}, 30.0)
        with pytest.raises(SandboxFailure, match="interrupted"):
            box.call({}, {}, 30.0)


JUDGE = f"""
import os, sys
from pathlib import Path
from flatgrad.sandbox.process import Sandbox
with Sandbox(Path({str(SERVICE)!r})) as box:
    print(box.call({{"code": "import os; value = os.getpid()"}}, {{}}, 30.0)[0]["value"], box.folder, flush=True)
    box.call({{"code": "import time\\ntime.sleep(1000)"}}, {{}}, 1000.0)
"""


@on_linux
def test_homework_ends_with_the_judge() -> None:
    judge = subprocess.Popen([sys.executable, "-c", JUDGE], stdout=subprocess.PIPE, text=True)
    assert judge.stdout is not None
    number, folder = judge.stdout.readline().split()
    judge.kill()
    judge.wait()
    judge.stdout.close()
    for _ in range(500):
        if not Path(f"/proc/{number}").exists() or "\nState:\tZ" in Path(f"/proc/{number}/status").read_text():
            break
        time.sleep(0.01)
    else:
        pytest.fail("homework outlived its judge")
    shutil.rmtree(folder)


@on_linux
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"), reason="not root")
def test_an_ordinary_user_is_isolated_too(tmp_path: Path) -> None:
    """Here as nobody, who may read the files of whoever runs the tests."""
    code = f"""
import json
from pathlib import Path
from flatgrad.sandbox import protection
from flatgrad.sandbox.process import Sandbox
with Sandbox(Path({str(SERVICE)!r})) as box:
    tried = ("import os; os.fork()", "open('/tmp/x', 'w')", "")
    errors = [box.call({{"code": code}}, {{}}, 30.0)[0]["error"] for code in tried]
    print(json.dumps([box.held, errors, protection.describe()]))
"""
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search"]
    command += ["--ambient-caps=+dac_read_search", sys.executable, "-c", code]
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o001 == 0:
            environment["TMPDIR"] = "/tmp"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if "setpriv" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    held, (fork, write, nothing), rows = json.loads(done.stdout)
    assert held["limits"] == held["hook"] == 1
    assert "PermissionError" in fork
    assert "PermissionError" in write
    assert nothing == ""
    assert len(rows) > 10
