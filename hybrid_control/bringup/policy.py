"""SROS 2 policies: which node may publish, hear, serve and ask for what, as `ros2 security` reads them.

Never run against DDS security: it is not in ROS 2's wheels (docs/safety.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree


@dataclass(frozen=True, slots=True)
class Profile:
    """What one node does: full names of topics and services. namespace: "/" or "/robot1"."""

    name: str
    namespace: str
    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()

    @property
    def enclave(self) -> str:
        """The enclave that the node's process starts in."""
        return f"{self.namespace.rstrip('/')}/{self.name}"


def policy(profiles: Sequence[Profile]) -> str:
    """A policy file, version 0.2.0, that allows each node what it does and nothing else; an enclave for each."""
    root = ElementTree.Element("policy", version="0.2.0")
    enclaves = ElementTree.SubElement(root, "enclaves")
    for profile in sorted(profiles, key=lambda p: p.enclave):
        enclave = ElementTree.SubElement(enclaves, "enclave", path=profile.enclave)
        node = ElementTree.SubElement(
            ElementTree.SubElement(enclave, "profiles"), "profile", ns=profile.namespace, node=profile.name
        )
        _allow(node, "topic", "publish", profile.publishes)
        _allow(node, "topic", "subscribe", profile.subscribes)
        _allow(node, "service", "reply", profile.replies)
        _allow(node, "service", "request", profile.requests)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _allow(node: ElementTree.Element, kind: str, what: str, names: Iterable[str]) -> None:
    names = sorted(set(names))
    if names:
        group = ElementTree.SubElement(node, f"{kind}s", {what: "ALLOW"})
        for name in names:
            ElementTree.SubElement(group, kind).text = name
