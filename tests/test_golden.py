"""Golden files: what the compiler writes for five models, read line by line before it was accepted.

A file of `tests/golden/` is `# input: <file name> <options>`, the model, `# output`, the module. `UPDATE_GOLDEN=1`
writes the outputs anew; read the difference before you commit it.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import assignments, check_text, compiled, imported_packages

GOLDEN = Path(__file__).resolve().parent / "golden"

# At most so many assignments has the backward pass, the unpacking of the cache not counted: for all but tanh_net as
# many as in the module that a careful person wrote for the same model.
LIMITS = {
    ("staged", "f"): 12,
    ("tanh_net", "tanh_net"): 7,
    ("two_layer_net", "two_layer_net"): 14,
    ("svm", "svm_loss"): 9,
    ("layers", "affine"): 4,
    ("layers", "relu"): 1,
    ("layers", "affine_relu"): 2,
    ("layers", "batchnorm"): 11,
}


@dataclass(frozen=True, slots=True)
class Golden:
    path: Path
    filename: str
    options: dict[str, Any]
    source: str
    output: str

    @staticmethod
    def read(path: Path) -> Golden:
        text = path.read_text()
        header, _, rest = text.partition("\n")
        source, mark, output = rest.partition("\n# output\n")
        if not header.startswith("# input: ") or not mark:
            raise ValueError(f"{path}: no input or no output")
        filename, *flags = shlex.split(header.removeprefix("# input: "))
        options: dict[str, Any] = {}
        for flag, value in zip(flags[::2], flags[1::2], strict=True):
            options[flag.removeprefix("--")] = tuple(value.split(",")) if flag == "--wrt" else value
        return Golden(path, filename, options, source, output)

    def compiled(self) -> str:
        return compiled(self.source, self.filename, **self.options).text

    def update(self) -> None:
        header = self.path.read_text().partition("\n")[0]
        self.path.write_text(f"{header}\n{self.source}\n# output\n{self.compiled()}")


FILES = {path.stem: Golden.read(path) for path in sorted(GOLDEN.glob("*.py"))}
by_file = pytest.mark.parametrize("stem", FILES)


def test_there_are_golden_files() -> None:
    assert {stem for stem, _ in LIMITS} <= set(FILES)


@by_file
def test_output_is_as_accepted(stem: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        FILES[stem].update()
    golden = Golden.read(FILES[stem].path)
    assert golden.compiled() == golden.output


@by_file
def test_output_is_stable(stem: str) -> None:
    golden = FILES[stem]
    text = golden.compiled()
    check_text(text, golden.source)
    assert golden.compiled() == text


@pytest.mark.parametrize(("stem", "function"), LIMITS)
def test_backward_is_no_longer_than_by_hand(stem: str, function: str) -> None:
    assert assignments(FILES[stem].compiled(), f"{function}_backward") <= LIMITS[stem, function]


@pytest.mark.parametrize("stem", sorted({stem for stem, _ in LIMITS}))
def test_no_helper_of_ours_and_no_numbered_temporaries(stem: str) -> None:
    golden = FILES[stem]
    tree = ast.parse(golden.compiled())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    bases = {function for s, function in LIMITS if s == stem}
    assert functions <= {f"{base}_{kind}" for base in bases for kind in ("forward", "backward", "value_and_grad")}
    assert imported_packages(golden.compiled()) <= imported_packages(golden.source)
    mine = {node.id for node in ast.walk(ast.parse(golden.source)) if isinstance(node, ast.Name)}
    mine |= {node.arg for node in ast.walk(ast.parse(golden.source)) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and re.search(r"\d$", node.id):
            assert node.id in mine or node.id.removeprefix("d") in mine, node.id


@by_file
def test_every_step_is_numbered_and_every_group_is_headed_by_its_statement(stem: str) -> None:
    """Each `# (3) h = …` in a backward pass repeats a statement whose line in the forward pass ends in `# (3)`."""
    text = FILES[stem].compiled()
    for part in re.split(r"^(?=def \w+_forward)", text, flags=re.M)[1:]:
        forward, _, backward = part.partition("_backward(")
        numbered = {int(n): line for line, n in re.findall(r"^ +(.*?)  # \((\d+)\)", forward, flags=re.M)}
        assert sorted(numbered) == list(range(1, len(numbered) + 1))
        heads = re.findall(r"^ +# \((\d+)\) (.+)$", backward, flags=re.M)
        assert heads
        for number, statement in heads:
            line = numbered[int(number)]
            # `return e` is bound to a name, and a call of a differentiable function also gives its cache.
            assert statement == line or statement.split("(")[0] == line.split("(")[0] or " = " in line, (
                statement,
                line,
            )
