"""`hybrid-control policy`: an SROS 2 policy of the nodes that run."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `policy` to the command line."""
    policy = subparsers.add_parser(
        "policy",
        help="write an SROS 2 policy that allows the nodes that run what they do now, and nothing else",
        description="Looks at the nodes of this project that run, and writes FILE for `ros2 security create_keystore` "
        "and `create_permission`: who may publish cmd_vel, who may set parameters (docs/safety.md). Needs ROS from apt "
        "to be used: there is no DDS security in ROS 2's wheels.",
    )
    policy.add_argument("file", type=Path, metavar="FILE.xml", help="where the policy goes")
    policy.add_argument("--namespace", help="only nodes in this namespace, such as /robot1")
    policy.set_defaults(run=_policy)


def _policy(arguments: argparse.Namespace) -> int:
    from hybrid_control.bringup.policy import policy

    try:
        from hybrid_control_ros.policy import profiles
    except ImportError as error:
        raise ValueError(
            f"policy needs ROS 2 and the workspace ({error}): source them, or scripts/env.sh"
        ) from None
    found = profiles(arguments.namespace)
    arguments.file.write_text(policy(found), encoding="utf-8")
    print(f"{arguments.file}: {', '.join(profile.enclave for profile in found)}")
    return 0
