"""The README says what the program says: help texts word for word, every option, key, code and script.

``python -m tests.test_docs`` writes the help texts into the README anew.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from audit.cli import cli
from audit.core.findings import TITLES, FindingType
from audit.report.rows import FIELDS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```\n\$ (?P<command>[^\n]+ --help)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
WIDTH = 100


def printed(command: str) -> str:
    """What the command prints, at a fixed width."""
    program, *arguments = command.split()
    if program.startswith("scripts/"):
        done = subprocess.run(["bash", ROOT / program, *arguments], capture_output=True, text=True, check=True)
        return done.stdout
    result = CliRunner().invoke(cli, arguments, prog_name=program, terminal_width=WIDTH)
    assert result.exit_code == 0, result.output
    return result.output


def blocks() -> dict[str, str]:
    return {m["command"]: m["text"] for m in BLOCK.finditer(README.read_text(encoding="utf-8"))}


def commands(group: click.Group = cli, path: str = "cvat-audit") -> Iterator[tuple[str, click.Command]]:
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


ALL = dict(commands())


@pytest.mark.parametrize("command", [*(f"{path} --help" for path in ALL), "scripts/demo --help"])
def test_the_readme_shows_the_help_that_the_program_prints(command: str) -> None:
    shown = blocks()
    assert command in shown, f"the README has no block '$ {command}'; add one and run python -m tests.test_docs"
    assert shown[command] == printed(command), "run python -m tests.test_docs"


def test_the_readme_shows_no_command_that_is_gone() -> None:
    known = {f"{path} --help" for path in ALL} | {"scripts/demo --help"}
    assert set(blocks()) <= known


@pytest.mark.parametrize("path", ALL)
def test_every_command_and_option_has_help(path: str) -> None:
    command = ALL[path]
    assert (command.help or "").strip(), f"{path} has no help"
    for option in command.params:
        if isinstance(option, click.Option):
            assert (option.help or "").strip(), f"{path} {option.opts[0]} has no help"


@pytest.mark.parametrize("key", FIELDS)
def test_the_readme_explains_every_key_of_the_json_contract(key: str) -> None:
    contract = README.read_text(encoding="utf-8").split("### The JSON contract")[1].split("\n### ")[0]
    assert f"`{key}`" in contract


@pytest.mark.parametrize("kind", list(FindingType))
def test_the_readme_explains_every_type_of_finding(kind: FindingType) -> None:
    assert f"| `{kind.code}` | {TITLES[kind]} |" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    named = re.findall(r"`((?:scripts|audit|tests|serverless|\.github|\.ci)/[\w./-]*)`", text)
    assert linked or named
    assert [p for p in {*linked, *named} if not (ROOT / p).exists()] == []


def test_the_changelog_has_this_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_the_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "APPENDIX" in text


def rewrite() -> None:
    """Put what the program prints into the README's help blocks."""
    text = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda m: f"```\n$ {m['command']}\n{printed(m['command'])}```", text), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
