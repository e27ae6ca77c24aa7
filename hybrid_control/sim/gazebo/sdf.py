"""Small pieces of SDF that robots and worlds are put together from."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_control.sim.description import Placement
from hybrid_control.sim.gazebo.releases import Release
from hybrid_control.sim.urdf import text, to_string

SDF_VERSION = "1.9"  # the newest that Fortress reads


def add(parent: ET.Element, tag: str, value: object = None, **attributes: str) -> ET.Element:
    """A new element in its parent, its text as SDF writes booleans and numbers."""
    element = ET.SubElement(parent, tag, attributes)
    if isinstance(value, bool):
        element.text = "true" if value else "false"
    elif isinstance(value, float | np.floating):
        element.text = text((float(value),))
    elif value is not None:
        element.text = str(value)
    return element


def add_pose(parent: ET.Element, at: Placement, relative_to: str = "") -> None:
    """Where the parent lies; nothing where that is where its own parent lies."""
    attributes = {"relative_to": relative_to} if relative_to else {}
    if attributes or any(at.xyz) or any(at.rpy):
        add(parent, "pose", text((*at.xyz, *at.rpy)), **attributes)


def add_geometry(parent: ET.Element, kind: str, size: Sequence[float]) -> None:
    """A box (x, y, z), plane (x, y), cylinder (radius, length) or sphere (radius,); m."""
    shape = add(add(parent, "geometry"), kind)
    if kind == "box":
        add(shape, "size", text(size))
    elif kind == "plane":
        add(shape, "normal", "0 0 1")
        add(shape, "size", text(size))
    else:
        add(shape, "radius", size[0])
        if kind == "cylinder":
            add(shape, "length", size[1])


def add_material(visual: ET.Element, colour: Sequence[float], glows: bool = False) -> None:
    """A plain colour: red, green, blue, opacity."""
    material = add(visual, "material")
    add(material, "ambient", text(colour))
    add(material, "diffuse", text(colour))
    add(material, "specular", "0.05 0.05 0.05 1")
    if glows:
        add(material, "emissive", text(colour))


def add_friction(collision: ET.Element, mu: float) -> None:
    """Coulomb friction, the same in both directions."""
    _add_friction(collision, mu, mu)


def add_grip(collision: ET.Element, mu: float, along: Sequence[float], link: str, to: Release) -> None:
    """Coulomb friction along one direction of a link alone."""
    attribute, space = to.expressed_in
    attributes = {attribute: link, space: "http://gazebosim.org/schema"}
    add(_add_friction(collision, mu, 0.0), "fdir1", text(along), **attributes)


def _add_friction(collision: ET.Element, mu: float, across: float) -> ET.Element:
    ode = add(add(add(collision, "surface"), "friction"), "ode")
    add(ode, "mu", mu)
    add(ode, "mu2", across)
    return ode


def add_plugin(
    parent: ET.Element, to: Release, file: str, system: str, parameters: Mapping[str, object] | None = None
) -> None:
    """A system of Gazebo, under the name that it has in the release.

    A list among the parameters is an element for each of its values, a mapping one with elements of its own.
    """
    plugin = add(parent, "plugin", filename=to.plugin.format(file), name=to.system.format(system))
    _add_all(plugin, parameters or {})


def _add_all(parent: ET.Element, parameters: Mapping[str, object]) -> None:
    for name, value in parameters.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, Mapping):
                _add_all(add(parent, name), one)
            else:
                add(parent, name, one)


def add_noise(parent: ET.Element, stddev: float, bias: float = 0.0) -> None:
    """White noise of a sensor, and a bias that is drawn once."""
    noise = add(parent, "noise", type="gaussian")
    add(noise, "mean", 0.0)
    add(noise, "stddev", stddev)
    if bias:
        add(noise, "bias_mean", 0.0)
        add(noise, "bias_stddev", bias)


def add_static(world: ET.Element, name: str) -> ET.Element:
    """The one link of a new model that stands still."""
    model = add(world, "model", name=name)
    add(model, "static", True)
    return add(model, "link", name="link")


def model_sdf(model: ET.Element) -> str:
    """An SDF file of one model, to be spawned."""
    root = ET.Element("sdf", version=SDF_VERSION)
    root.append(model)
    return to_string(root)
