"""The docs say what is: pages that are made, options that exist, the README's text and commands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import pytest

from flatgrad.cli import cli
from flatgrad.config import KEYS
from flatgrad.diagnostics import CATALOGUE
from tests.pages import DOCS, OTHERS, PAGES, ROOT, WITHOUT_AN_EXAMPLE, codes_in, examples, readme_block, shown, staged

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(mark: str) -> str:
    """The fenced block of the README below a comment."""
    found = readme_block(mark).search(README)
    assert found is not None, f"README.md has no block below <!-- {mark} -->"
    return found[2]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_made_pages_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m tests.pages"


def test_every_code_has_an_example() -> None:
    parts = [set(examples()), set(OTHERS), set(WITHOUT_AN_EXAMPLE)]
    assert set().union(*parts) == set(CATALOGUE)
    assert sum(map(len, parts)) == len(CATALOGUE)


@pytest.mark.parametrize("code", sorted({*examples(), *OTHERS}))
def test_an_example_shows_its_code(code: str) -> None:
    assert codes_in(shown(code)) == {code}


def options_of(command: str) -> set[str]:
    found = cli.commands[command]
    return {text for parameter in found.params if isinstance(parameter, click.Option) for text in parameter.opts}


def test_the_page_of_the_command_line_has_every_option() -> None:
    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `flatgrad (\w+)[^\n]*\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(cli.commands)
    for command, text in sections.items():
        rows = set(re.findall(r"^\| `(-[^ `]+)", text, re.MULTILINE))
        if rows or command in ("compile", "diff"):
            assert rows == options_of(command)
    for key in KEYS:
        assert key in page


def test_the_readme_shows_what_the_compiler_writes() -> None:
    for mark, text in staged().items():
        assert block(mark) == text, "run: python -m tests.pages"


def test_the_readme_has_two_commands_to_set_up() -> None:
    assert len(block("commands: use").strip().splitlines()) == 1
    assert len(block("commands: test").strip().splitlines()) == 1
    assert block("commands: test").strip().endswith(".venv/bin/python -m pytest")


@pytest.mark.skipif(sys.platform == "win32", reason="bash and awk")
@pytest.mark.parametrize("name", ["use", "test"])
def test_ci_runs_the_commands_of_the_readme(name: str, tmp_path: Path) -> None:
    import subprocess

    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^commands\(\) \{\n.*?^\}\n", script, re.DOTALL | re.MULTILINE)
    assert function is not None
    assert f"$(commands {name})" in script
    run = f'root="{ROOT}"\n{function[0]}commands {name}\n'
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", run], capture_output=True, check=True, text=True)
    assert done.stdout == block(f"commands: {name}")


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
