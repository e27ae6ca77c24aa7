"""Textures made by code: what they are called by they look like, they follow the seed, and models get them painted."""

import colorsys
import os
import time
from dataclasses import replace

import numpy as np
import pytest

from hybrid_control.signals import Pose
from hybrid_control.sim.model import Appearance, build_mjcf, made_of
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.textures import KINDS, SIZE, noise, surfaces, texture
from hybrid_control.sim.worlds import Patch, Thing, World, read_world
from hybrid_control.sim.worlds.patch import FORBIDDEN, KNOWN, PERMITTED

PATCHES = (Patch("grass", 2.0, 0.0, 1.5, 1.5), Patch("moss", 4.0, 0.0, 1.0, 1.0))
WORLD = World("w", Pose(), (6.0, 0.0), (-2.0, -3.0, 8.0, 3.0), np.array(((3.0, 1.5, 0.2),)), patches=PATCHES)
PAINTED = Appearance(1, textures=True)

import_mujoco()  # chooses how to draw
with_gl = pytest.mark.skipif(os.environ["MUJOCO_GL"] == "disable", reason="no library for off-screen GL here")


def hue(picture):
    return colorsys.rgb_to_hsv(*(picture.reshape(-1, 3).mean(axis=0) / 255))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_texture_follows_its_seed_and_its_variants_differ(kind):
    one, again, other = texture(kind, 1), texture(kind, 1), texture(kind, 2)
    assert (one.shape, one.dtype) == ((SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one.astype(int) - other.astype(int)).mean() > 3


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"hazard", "line"}))
def test_a_texture_goes_on_beyond_its_edge_as_it_begins(kind):
    for seed in range(3):
        picture = texture(kind, seed).astype(float)
        inside = np.abs(np.diff(picture, axis=1)).mean(axis=(0, 2))
        seam = np.abs(picture[:, 0] - picture[:, -1]).mean()
        assert seam <= inside.max() + 3.0


def test_variants_keep_the_colours_that_their_names_promise():
    for seed in range(20):
        for kind, (low, high), least in (
            ("grass", (0.15, 0.42), 0.2), ("water", (0.45, 0.68), 0.15), ("hazard", (0.08, 0.18), 0.4),
            ("leaves", (0.0, 0.16), 0.3), ("wood", (0.02, 0.13), 0.15),
        ):  # fmt: skip
            h, saturation, _ = hue(texture(kind, seed))
            assert low <= h <= high, (kind, seed)
            assert saturation >= least, (kind, seed)
        for kind in ("asphalt", "concrete"):
            assert hue(texture(kind, seed))[1] < 0.15
        assert hue(texture("asphalt", seed))[2] < hue(texture("concrete", seed))[2]


def test_noise_has_mean_0_and_deviation_1():
    field = noise(np.random.default_rng(0), 4, 8)
    assert (field.mean(), field.std()) == (pytest.approx(0.0, abs=1e-9), pytest.approx(1.0))


def test_every_known_kind_of_ground_has_a_texture_and_another_the_colour_of_its_patches():
    assert set(KNOWN) <= set(KINDS)
    assert set(FORBIDDEN) | set(PERMITTED) <= set(KNOWN)
    assert not set(FORBIDDEN) & set(PERMITTED)
    assert hue(texture("moss", 0))[0] == pytest.approx(hue(texture("moss", 5))[0], abs=0.02)


def test_a_ground_is_of_no_kind_that_patches_are_of():
    for seed in range(40):
        kinds = ("grass", "gravel", "carpet")
        assert surfaces(seed, "", kinds, 1)["ground"].kind not in kinds
    assert surfaces(0, "grass", ("grass",), 1)["ground"].kind == "grass"


def test_a_surface_does_not_depend_on_what_else_there_is():
    few, many = surfaces(3, "flat", ("mat",), 1), surfaces(3, "flat", ("grass", "mat"), 8)
    assert all(many[name] == surface for name, surface in few.items())


def test_textures_are_painted_into_the_compiled_model_and_mjcf_has_patterns_of_their_size(tmp_path):
    with Simulator(WORLD, appearance=PAINTED, camera=False) as sim:
        model = sim.mujoco.model
        for name, surface in made_of(WORLD, PAINTED).items():
            at = model.tex_adr[model.texture(name).id]
            painted = model.tex_data[at : at + SIZE * SIZE * 3].reshape(SIZE, SIZE, 3)
            np.testing.assert_array_equal(painted, texture(surface.kind, surface.seed))
    text = build_mjcf(WORLD, JACKAL, PAINTED, 0.002)
    assert "file=" not in text
    (tmp_path / "w.xml").write_text(text)
    assert read_world(tmp_path / "w.xml").patches[1].kind == "moss"


def test_without_textures_nothing_is_painted():
    assert made_of(WORLD, Appearance(1, vary=True)) == {}


def test_a_ground_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="ground 'grass'; there are checker, flat, gradient"):
        Appearance(ground="grass")
    with pytest.raises(ValueError, match="ground 'checker'; there are concrete, "):
        Appearance(ground="checker", textures=True)
    assert Appearance(ground="grass", textures=True).ground == "grass"


def frame(world, appearance):
    with Simulator(world, appearance=appearance) as sim:
        return sim.camera().astype(int)


@with_gl
def test_the_camera_sees_textures_and_their_seed():
    plain, painted, other = (frame(WORLD, a) for a in (Appearance(1), PAINTED, replace(PAINTED, seed=2)))
    np.testing.assert_array_equal(painted, frame(WORLD, PAINTED))
    for a, b in ((plain, painted), (painted, other)):
        assert np.abs(a - b)[70:].mean() > 5


@with_gl
def test_shadows_fall_where_they_are_asked_for():
    crate = replace(WORLD, patches=(), things=(Thing("low", 1.5, 0.3, 0.3, 0.3, 0.0, 0.0, 0.5),))
    light, shadow = frame(crate, Appearance(1)), frame(crate, Appearance(1, shadows=True))
    darker = (light.sum(axis=2) - shadow.sum(axis=2)) > 60
    assert 50 < darker[55:].sum() < 6000
    assert darker[:45].sum() < 500


def test_all_textures_of_a_world_are_made_in_less_than_a_second():
    begin = time.process_time()
    for surface in surfaces(0, "", FORBIDDEN + PERMITTED, 8).values():
        texture(surface.kind, surface.seed)
    assert time.process_time() - begin < 1.0  # it takes 0.08 s
