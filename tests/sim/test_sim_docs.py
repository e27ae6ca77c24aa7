import re
from pathlib import Path

from hybrid_control.sim.worlds import GENERATORS

DOCS = Path(__file__).parents[2] / "docs" / "simulator.md"


def test_examples_in_the_documentation_run(capsys):
    drive, camera = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    exec(compile(drive, "simulator.md", "exec"), {})
    assert "Pose(x=" in capsys.readouterr().out
    seen = {}
    exec(compile(camera, "simulator.md", "exec"), seen)
    # ln(0.9 / 0.2) = 1.5: 5 to 10 events of each pixel, up to one in 0.5 ms
    assert 5 * 64 * 48 < seen["events"].size < 8 * 64 * 48


def test_documentation_lists_every_kind_of_world():
    section = DOCS.read_text().partition("## Worlds")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert tuple(listed) == GENERATORS
