import re
from pathlib import Path

from hybrid_control.sim.worlds import GENERATORS

DOCS = Path(__file__).parents[2] / "docs" / "simulator.md"


def test_example_in_the_documentation_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    exec(compile(example, "simulator.md", "exec"), {})
    assert "Pose(x=" in capsys.readouterr().out


def test_documentation_lists_every_kind_of_world():
    section = DOCS.read_text().partition("## Worlds")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert tuple(listed) == GENERATORS
