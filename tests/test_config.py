"""[tool.flatgrad] in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from flatgrad.config import Config, Settings, load, parse, split_names
from flatgrad.diagnostics import Refused
from flatgrad.ir.core import Span


def read(text: str, folder: Path = Path("/project")) -> Config:
    return parse(text, folder / "pyproject.toml")


def refused(text: str) -> Refused:
    with pytest.raises(Refused) as caught:
        read(text)
    return caught.value


def test_every_key_is_an_option() -> None:
    config = read(
        """
[tool.flatgrad]
function = ["f", "g"]
wrt = "W1, b1"
output = "loss"
shape = { X = "N,D", reg = "" }
gates = "primitive"
stages = "relations"
accumulate = "always"
"""
    )
    assert config.general == Settings(
        ("f", "g"), ("W1", "b1"), "loss", (("X", "N,D"), ("reg", "")), "primitive", "relations", "always"
    )


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.other]\ngates = 3\n"])
def test_nothing_said_is_nothing_set(text: str) -> None:
    assert read(text) == Config()
    assert read(text).settings(Path("m.py")) == Settings()


def test_unknown_keys_are_all_refused_with_their_places() -> None:
    error = refused('[tool.flatgrad]\ngates = "grouped"\ngtes = "grouped"\n[tool.flatgrad.models."m.py"]\nWrt = "x"\n')
    assert [d.code for d in error.diagnostics] == ["FG082", "FG082"]
    assert [d.span for d in error.diagnostics] == [Span(3, 0, 3, 4), Span(5, 0, 5, 3)]
    assert "no such key in [tool.flatgrad]: gtes" in str(error)
    assert "accumulate" in error.diagnostics[0].help


def test_a_key_of_another_table_is_not_blamed() -> None:
    error = refused("[tool.other]\nwrong = 1\n[tool.flatgrad] # ours\nwrong = 1\n")
    assert error.diagnostics[0].span == Span(4, 0, 4, 5)


@pytest.mark.parametrize(
    "line",
    [
        "gates = 1",
        'gates = "all"',
        "wrt = 3",
        'wrt = ["a b"]',
        'wrt = ""',
        "function = [1]",
        'output = ["loss"]',
        'shape = "X=N,D"',
        "shape = { X = 3 }",
        "stages = true",
        'models = "m.py"',
        'models = { "m.py" = 3 }',
    ],
)
def test_values_of_a_wrong_type_are_refused(line: str) -> None:
    error = refused(f"[tool.flatgrad]\n{line}\n")
    assert [d.code for d in error.diagnostics] == ["FG083"]


@pytest.mark.parametrize("text", ["[tool]\nflatgrad = 3\n", "tool = 3\n"])
def test_a_table_that_is_none(text: str) -> None:
    if "flatgrad" in text:
        assert [d.code for d in refused(text).diagnostics] == ["FG083"]
    else:
        assert read(text) == Config()  # another tool's business


def test_broken_toml_shows_the_place() -> None:
    error = refused("[tool.flatgrad]\ngates = \n")
    (diagnostic,) = error.diagnostics
    assert diagnostic.code == "FG081"
    assert diagnostic.span == Span(2, 8, 2, 9)
    assert "pyproject.toml:2:9" in str(error)


def test_a_model_has_its_own_table_and_inherits(tmp_path: Path) -> None:
    config = read(
        """
[tool.flatgrad]
gates = "primitive"
shape = { X = "N,D", y = "N" }
[tool.flatgrad.models."examples/svm.py"]
wrt = ["W"]
shape = { X = "B,D" }
""",
        tmp_path,
    )
    svm = config.settings(tmp_path / "examples" / "svm.py")
    assert (svm.wrt, svm.gates) == (("W",), "primitive")
    assert dict(svm.shapes or ()) == {"X": "B,D", "y": "N"}
    assert config.settings(tmp_path / "svm.py").wrt is None
    assert config.settings(None).gates == "primitive"


def test_what_is_given_first_wins() -> None:
    first = Settings(wrt=("a",), shapes=(("X", "N"),))
    second = Settings(wrt=("b",), gates="primitive", shapes=(("X", "M"), ("y", "M")))
    merged = first.over(second)
    assert (merged.wrt, merged.gates, merged.output) == (("a",), "primitive", None)
    assert dict(merged.shapes or ()) == {"X": "N", "y": "M"}
    assert Settings(output="").over(Settings(output="loss")).output == ""


def test_the_nearest_file_upward_is_read(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.flatgrad]\ngates = "primitive"\n')
    assert load(inner).general.gates == "primitive"
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'inner'\n")
    assert load(inner).general.gates is None


def test_settings_become_options() -> None:
    options = Settings(wrt=("w",), gates="primitive").options()
    assert (options.wrt, options.gates, options.stages, options.functions) == (("w",), "primitive", "source", ())


def test_names_are_split_and_checked() -> None:
    assert list(split_names("W1, b1,x.y")) == ["W1", "b1", "x.y"]
    for wrong in ("", "a,", "a b", "1a"):
        with pytest.raises(ValueError, match="is not a name"):
            list(split_names(wrong))
