"""What README and docs/ tell a person to type is what the command line takes; the tuning guide leaves no gain out."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from hybrid_control.cli import parser
from hybrid_control.navigation.reflex.gains import GAINS

ROOT = Path(__file__).parents[2]


def commands(text):
    """Every `hybrid-control ...` of a page, in a block or in a line; a choice such as a|b by its first."""
    joined = text.replace("\\\n", " ").replace("†", "")
    found = set(re.findall(r"^ *(hybrid-control .*)", joined, re.MULTILINE))
    found |= set(re.findall(r"`(hybrid-control [^`]+)`", joined))
    for line in sorted(found):
        first = re.split(r" & | && |\s#", " ".join(line.split()))[0]
        yield re.sub(r"(\w+)(\|\w+)+", r"\1", first)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_library_commands_of_the_page_are_taken(page, capsys):
    known = parser()
    for command in commands(page.read_text()):
        with contextlib.suppress(SystemExit):
            known.parse_args(shlex.split(command)[1:])
        error = capsys.readouterr().err
        # a command that is only spoken of need not be whole
        assert not error or "are required" in error, (command, error)


def test_library_tuning_guide_says_what_each_gain_does():
    text = (ROOT / "docs" / "tuning.md").read_text()
    assert not [p.name for p in GAINS if f"`{p.name}`" not in text]
