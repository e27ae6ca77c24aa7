import contextlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.geometry.shapes import clearance, footprint_distance
from hybrid_control.signals import Pose
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.worlds import (
    GENERATORS,
    Mover,
    World,
    generate,
    guaranteed,
    load_barn,
    load_world,
    passable,
)

BOUNDS = (-1.0, -3.0, 11.0, 3.0)


def test_default_worlds_are_cluttered_blocked_and_passable():
    for seed in range(50):
        world = generate("default", seed)
        assert world.straight_distance == pytest.approx(10.0)
        assert world.between() >= 30, seed
        assert world.straight_line_blocked(), seed
        assert passable(world), seed
        gap = footprint_distance(0, 0, 0, JACKAL.length, JACKAL.width, world.cylinders, world.boxes)
        assert gap > 0.3, seed


@pytest.mark.parametrize("name", GENERATORS)
def test_generated_worlds_follow_from_their_seed_and_leave_room_at_both_ends(name):
    for seed in range(1 if name == "tight_arena" else 5):
        one, again, other = generate(name, seed), generate(name, seed), generate(name, seed + 100)
        assert np.array_equal(one.cylinders, again.cylinders)
        assert np.array_equal(one.boxes, again.boxes)
        assert one.movers == again.movers
        assert one.patches == again.patches
        if name != "open":
            assert len(one.cylinders) + len(one.boxes) + len(one.patches) >= 4
            same = np.array_equal(one.cylinders, other.cylinders) and np.array_equal(one.boxes, other.boxes)
            assert not (same and one.patches == other.patches)
        assert clearance(*one.goal, one.cylinders, one.boxes) >= 0.3
        gap = footprint_distance(
            one.start.x, one.start.y, one.start.yaw, JACKAL.length, JACKAL.width, one.cylinders, one.boxes
        )
        assert gap > 0.05
        room, cell = guaranteed(name)
        assert passable(one, room, cell=cell)


def test_an_arena_is_walled_has_its_polygons_and_ten_to_23_metres_to_go():
    for seed in range(10):
        world = generate("arena", seed)
        assert 10.0 <= world.straight_distance <= 23.0, seed
        # 4 edges of the wall and of each of 17 thin polygons, 3 to 6 of each of 17 others
        assert 4 + 17 * 4 + 17 * 3 <= len(world.boxes) <= 4 + 17 * 4 + 17 * 6, seed
        walls = world.boxes[:4]
        assert sorted(np.hypot(walls[:, 0], walls[:, 1])) == pytest.approx([10.0] * 4)
        assert (np.abs(world.boxes[4:, :2]) < 10.0).all(), seed
    for options in ({"polygons": 60, "size": 10}, {"size": 10}):
        with pytest.raises(ValueError, match="200 draws"):
            generate("arena", 0, **options)


def test_density_of_a_forest_is_what_was_asked_for():
    sparse, dense = generate("forest", 1, density=0.2), generate("forest", 1, density=0.6)
    assert len(sparse.cylinders) == round(0.2 * 7.6 * 7.0)
    assert len(dense.cylinders) == round(0.6 * 7.6 * 7.0)


def test_movers_walk_to_and_fro_at_their_speed():
    mover = Mover(radius=0.25, a=(0.0, 0.0), b=(0.0, 4.0), speed=2.0)
    # 4 m at 2 m/s: there in 2 s, back in 4 s
    assert mover.at(0.0) == (0.0, 0.0)
    assert mover.at(1.5) == pytest.approx((0.0, 3.0))
    assert mover.at(2.0) == pytest.approx((0.0, 4.0))
    assert mover.at(3.5) == pytest.approx((0.0, 1.0))
    assert mover.at(4.0) == pytest.approx((0.0, 0.0))
    assert Mover(0.25, (0.0, 0.0), (0.0, 4.0), 2.0, phase=0.5).at(0.0) == pytest.approx((0.0, 4.0))
    assert Mover(0.25, (1.0, 2.0), (1.0, 2.0), 2.0).at(7.0) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cylinders": np.zeros((2, 4))}, "expected \\(n, 3\\)"),
        ({"cylinders": np.array([[3.0, 0.0, 0.0]])}, "> 0"),
        ({"boxes": np.array([[3.0, 0.0, 1.0, -1.0, 0.0]])}, "> 0"),
        ({"boxes": np.array([[3.0, math.nan, 1.0, 1.0, 0.0]])}, "finite"),
        ({"goal": (50.0, 0.0)}, "goal .* outside"),
        ({"goal": (math.nan, 0.0)}, "finite"),
        ({"start": Pose(-2.0, 0.0)}, "start .* outside"),
        ({"cylinders": np.array([[10.0, 0.0, 0.5]])}, "goal .* in an obstacle"),
    ],
)
def test_impossible_worlds_are_refused(change, message):
    values = {"name": "bad", "start": Pose(), "goal": (10.0, 0.0), "bounds": BOUNDS} | change
    with pytest.raises(ValueError, match=message):
        World(**values)


def test_impossible_movers_are_refused():
    with pytest.raises(ValueError, match="radius > 0"):
        Mover(0.0, (0.0, 0.0), (1.0, 0.0), 1.0)
    with pytest.raises(ValueError, match="finite"):
        Mover(0.1, (0.0, math.inf), (1.0, 0.0), 1.0)


def test_unknown_names_and_options_are_refused_and_the_known_ones_named():
    with pytest.raises(ValueError, match="unknown world 'moon'; there are default, forest"):
        generate("moon")
    with pytest.raises(ValueError, match="density_"):
        generate("forest", density_=1.0)
    with pytest.raises(ValueError, match="200 draws"):
        generate("corridor", width=0.7)
    with pytest.raises(ValueError, match="unknown robot 'husky'; there are burger, car, jackal"):
        vehicle("husky")
    assert vehicle("jackal") is JACKAL


def barn_arrays():
    return {
        "centers": np.array([[0, 5], [1, 6], [1, 6], [-1, 7], [0.5, 5.5]], np.float32),
        "offsets": np.array([0, 4, 5]),
        "radius": np.float32(0.075),
        "path_length": np.array([10.5, 11.5], np.float32),
        "start": np.array([0.0, 0.0, 1.57], np.float32),
        "goal": np.array([0.0, 10.0], np.float32),
        "world_id": np.array([6, 12]),
    }


def test_barn_file_comes_back_as_it_was_written(tmp_path):
    np.savez(tmp_path / "worlds.npz", **barn_arrays())
    barn = load_barn(tmp_path / "worlds.npz")
    assert barn.world_ids == (6, 12)
    assert barn.path_lengths == (10.5, 11.5)
    first, second = barn.worlds
    assert first.name == "barn-6"
    # an obstacle that is named twice is one obstacle
    assert sorted(first.cylinders[:, :2].tolist()) == [[-1, 7], [0, 5], [1, 6]]
    assert second.cylinders[:, :2].tolist() == [[0.5, 5.5]]
    assert first.cylinders[:, 2] == pytest.approx(0.075)
    assert (first.start.x, first.start.y, first.start.yaw) == pytest.approx((0.0, 0.0, 1.57))
    assert first.goal == (0.0, 10.0)
    assert first.bounds == (-2.5, -1.5, 2.5, 11.5)
    chosen = load_world(f"{tmp_path / 'worlds.npz'}:12")
    assert chosen.name == "barn-12"
    assert np.array_equal(chosen.cylinders, second.cylinders)
    with pytest.raises(ValueError, match="no world '7'; there are 6, 12"):
        load_world(f"{tmp_path / 'worlds.npz'}:7")
    with pytest.raises(OSError, match="absent"):
        load_world(f"{tmp_path / 'absent.npz'}:7")


def test_barn_files_without_ids_are_numbered(tmp_path):
    arrays = barn_arrays()
    del arrays["world_id"]
    np.savez(tmp_path / "worlds.npz", **arrays)
    assert load_barn(tmp_path / "worlds.npz").world_ids == (0, 1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("offsets", np.array([0, 4, 9]), "offsets"),
        ("offsets", np.array([0, 5, 4, 5]), "shape"),
        ("centers", np.zeros((5, 3)), "shape"),
        ("goal", np.zeros(3), "shape"),
        ("path_length", np.zeros(7), "shape"),
        ("start", np.array([math.nan, 0, 0]), "finite"),
        ("radius", None, "no array radius"),
    ],
)
def test_broken_barn_arrays_are_refused(tmp_path, name, value, message):
    arrays = barn_arrays() | {name: value}
    np.savez(tmp_path / "worlds.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match=message):
        load_barn(tmp_path / "worlds.npz")


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damaged_barn_files_give_a_value_error_or_valid_worlds(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("barn")
    np.savez(folder / "worlds.npz", **barn_arrays())
    content = bytearray((folder / "worlds.npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "bad.npz").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(ValueError):
        barn = load_barn(folder / "bad.npz")
        assert all(np.isfinite(w.cylinders).all() for w in barn.worlds)


def test_a_file_that_is_no_npz_is_refused_in_one_line(tmp_path):
    for content in (b"", b"PK\x03\x04 no zip", b"\x93NUMPY", np.arange(3).tobytes()):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match="not an npz file of BARN worlds") as refusal:
            load_barn(tmp_path / "bad.npz")
        assert "\n" not in str(refusal.value)
