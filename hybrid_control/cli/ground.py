"""`hybrid-control bench ground`: what a lesson on the ground is good for."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_ground_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``ground`` to the benchmarks."""
    parser = subparsers.add_parser(
        "ground",
        help="ground that is taught in seconds of driving: worlds driven taught and untaught",
        description="A robot drives along a lane and is told for some seconds what lies before it: ground, a mat, a "
        "puddle. Then it drives worlds that it never saw, in which puddles are forbidden and a lidar sees none of "
        "them, with what it learnt and without (docs/ground.md).",
    )
    add = parser.add_argument
    add("--worlds", type=int, default=20, metavar="N", help="worlds to drive (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the lesson (default: %(default)s)")
    add("--save", type=Path, default=None, metavar="FILE.npz", help="also write what was learnt")
    add("--json", type=Path, default=None, metavar="FILE", help="also write how each drive went")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.worlds <= 10_000:
        raise ValueError(f"--worlds {arguments.worlds}: expected 1 .. 10000")
    from tqdm import tqdm

    from hybrid_control.navigation.bench import lesson

    pupil = lesson.learner(seed=arguments.seed)
    taught = lesson.teach(pupil, lesson.course(), seed=arguments.seed)
    said = ", ".join(f"{label} {seconds:.1f} s" for label, seconds in taught.labelled.items())
    print(
        f"taught in {sum(taught.labelled.values()):.1f} s of a drive of {taught.duration:.1f} s: {said}",
        flush=True,
    )
    if arguments.save is not None:
        pupil.save(arguments.save)
    worlds, rows = lesson.unseen(arguments.worlds), {}
    with tqdm(total=2 * len(worlds), unit="world", disable=not sys.stderr.isatty()) as bar:
        for name, ground in (("taught", pupil), ("untaught", None)):
            rows[name] = lesson.drives(ground, worlds, done=lambda episode: bar.update())
    for name, episodes in rows.items():
        arrived = [episode for episode in episodes if episode.success]
        mean = sum(episode.time for episode in arrived) / max(len(arrived), 1)
        touched = sum(episode.contacts > 0 for episode in episodes)
        print(
            f"{name:9} {len(arrived)} of {len(episodes)} arrive without a contact, {touched} drive onto forbidden "
            f"ground or touch something; {mean:.1f} s to the goal"
        )
    if arguments.json is not None:
        found = {
            name: [
                {"world": world.name, "reached": e.reached, "contacts": e.contacts, "time": e.time}
                for world, e in zip(worlds, episodes, strict=True)
            ]
            for name, episodes in rows.items()
        }
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0
