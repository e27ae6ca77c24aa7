"""A robot's description as URDF."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from hybrid_control.sim.description import Description, Link, Placement, Shape


def text(values: Iterable[float]) -> str:
    """Numbers as they stand in XML files, to nine digits, without a minus before zero."""
    return " ".join(f"{value if abs(value) > 1e-12 else 0.0:.9g}" for value in values)


def to_string(root: ET.Element) -> str:
    """An XML file of an element, indented."""
    ET.indent(root)
    return '<?xml version="1.0"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _origin(parent: ET.Element, at: Placement) -> None:
    if any(at.xyz) or any(at.rpy):
        ET.SubElement(parent, "origin", xyz=text(at.xyz), rpy=text(at.rpy))


def _geometry(parent: ET.Element, shape: Shape) -> None:
    geometry = ET.SubElement(parent, "geometry")
    if shape.kind == "box":
        ET.SubElement(geometry, "box", size=text(shape.size))
    elif shape.kind == "cylinder":
        ET.SubElement(geometry, "cylinder", radius=text(shape.size[:1]), length=text(shape.size[1:]))
    else:
        ET.SubElement(geometry, "sphere", radius=text(shape.size))


def _link(root: ET.Element, link: Link) -> None:
    element = ET.SubElement(root, "link", name=link.name)
    if link.mass > 0:
        inertial = ET.SubElement(element, "inertial")
        _origin(inertial, Placement(link.centre))
        ET.SubElement(inertial, "mass", value=text((link.mass,)))
        ixx, iyy, izz = (text((moment,)) for moment in link.inertia)
        ET.SubElement(inertial, "inertia", ixx=ixx, ixy="0", ixz="0", iyy=iyy, iyz="0", izz=izz)
    for shape in link.visuals:
        visual = ET.SubElement(element, "visual", name=f"{shape.name}_visual")
        _origin(visual, shape.at)
        _geometry(visual, shape)
        material = ET.SubElement(visual, "material", name=f"{link.name}_{shape.name}")
        ET.SubElement(material, "color", rgba=text(shape.colour))
    for shape in link.collisions:
        collision = ET.SubElement(element, "collision", name=shape.name)
        _origin(collision, shape.at)
        _geometry(collision, shape)


def urdf(description: Description, more: Iterable[ET.Element] = ()) -> str:
    """The URDF of a robot, for robot_state_publisher, RViz and Foxglove; more: elements that stand at its end."""
    root = ET.Element("robot", name=description.name)
    for link in description.links:
        _link(root, link)
    for joint in description.joints:
        element = ET.SubElement(root, "joint", name=joint.name, type=joint.kind)
        ET.SubElement(element, "parent", link=joint.parent)
        ET.SubElement(element, "child", link=joint.child)
        _origin(element, joint.at)
        if joint.kind != "fixed":
            ET.SubElement(element, "axis", xyz=text(joint.axis))
            limit = {"effort": text((joint.effort,)), "velocity": text((joint.velocity,))}
            if joint.kind == "revolute":
                limit |= {"lower": text(joint.limits[:1]), "upper": text(joint.limits[1:])}
            ET.SubElement(element, "limit", limit)
    root.extend(more)
    return to_string(root)
