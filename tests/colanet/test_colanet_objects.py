"""Objects that the simulator draws: every class, the same for the same seed, in view, and apart in one thing alone."""

from argparse import Namespace
from functools import cache

import numpy as np
import pytest

from hybrid_control.bench.colanet import objects
from hybrid_control.bench.colanet.compare import Row
from hybrid_control.bench.colanet.scenes import (
    COLOURS,
    FORMS,
    KINDS,
    SIZE,
    Kind,
    drawn,
    scene_of,
)
from hybrid_control.sim.camera import GraphicsError

draws = pytest.mark.usefixtures("graphics")


@pytest.fixture(scope="module")
def graphics():
    try:
        drawn(None, scene_of(0))
    except GraphicsError as error:
        pytest.skip(str(error))


@cache
def empty(*seed):
    return drawn(None, scene_of(*seed))


def silhouette(kind, *seed):
    return (drawn(kind, scene_of(*seed)) != empty(*seed)).any(-1)


def test_colanet_objects_are_64_classes_of_which_each_has_9_that_differ_from_it_in_one_thing():
    assert len(set(KINDS)) == len(KINDS) == 64
    apart = np.array([[sum(a != b for a, b in zip(k, m, strict=True)) for m in KINDS] for k in KINDS])
    assert ((apart == 1).sum(1) == 9).all()


@draws
def test_colanet_objects_are_the_same_for_the_same_seed_and_others_for_another():
    kind = Kind("trolley", "speckled", "green")
    first = drawn(kind, scene_of(1, 2, 3))
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, drawn(kind, scene_of(1, 2, 3)))
    for other in ((1, 2, 4), (1, 3, 3), (2, 2, 3)):
        assert (first != drawn(kind, scene_of(*other))).mean() > 0.5


@draws
@pytest.mark.parametrize("form", FORMS)
def test_colanet_objects_of_every_class_are_in_view_of_random_scenes_and_stand_alone(form):
    kinds = [kind for kind in KINDS if kind.form == form]
    for kind in kinds:
        seed = (7, KINDS.index(kind))
        seen = silhouette(kind, *seed)
        assert 0.03 < seen.mean() < 0.7, (kind, seed)
        rim = np.concatenate((seen[0], seen[-1], seen[:, 0], seen[:, -1]))
        assert rim.mean() < 0.02, (kind, seed)  # all of it, but for a corner


@draws
@pytest.mark.parametrize("form", FORMS)
def test_colanet_objects_that_differ_by_colour_alone_have_the_same_silhouette(form):
    seed = (8, len(form))
    first, *others = [silhouette(Kind(form, "gridded", colour), *seed) for colour in COLOURS]
    for other in others:
        assert (first != other).sum() <= 0.01 * first.sum()
    other = "trolley" if form == "armchair" else "armchair"
    assert (first != silhouette(Kind(other, "gridded", "red"), *seed)).sum() > 0.1 * first.sum()


class FakeEncoder:
    """Means of the colours; counts what it is asked."""

    size = (SIZE, SIZE)
    asked = 0

    def __init__(self, path, output=None):
        pass

    def __call__(self, image):
        FakeEncoder.asked += 1
        return image.mean((0, 1)).astype(np.float32)


@draws
def test_colanet_objects_features_are_drawn_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "Encoder", FakeEncoder)
    monkeypatch.setattr(objects.scenes, "KINDS", KINDS[:3])
    file = tmp_path / "encoder.onnx"
    file.write_bytes(b"")
    asked = Namespace(encoder=str(file), output=None, out=tmp_path / "kept", seed=1, each=2)
    features = objects.cached(asked)
    assert features.shape == (6, 3)
    assert np.array_equal(objects.cached(asked), features)
    assert FakeEncoder.asked == 6
    asked.seed = 2
    assert not np.array_equal(objects.cached(asked), features)


def test_colanet_objects_encoder_of_another_size_is_refused():
    encoder = FakeEncoder("")
    encoder.size = (96, 96)
    with pytest.raises(ValueError, match=r"takes \(96, 96\) pixels; these pictures have \(224, 224\)"):
        objects.features_of(encoder, 0, 1)


def test_colanet_objects_table_says_how_far_from_logistic_regression_with_95_percent_intervals():
    linear = [0.9, 0.92, 0.94, 0.96, 0.98]
    runs = [[Row("a", value + 0.01, 1, 2), Row(objects.LINEAR, value, 3, 4)] for value in linear]
    half = 2.776 * 3.1623 / 5**0.5  # standard deviation 3.1623 % of either
    assert objects.table(runs).splitlines()[2] == f"| a | 95.00 ± {half:.2f} | 1.00 ± 0.00 | 1.000 | 2.000 |"
