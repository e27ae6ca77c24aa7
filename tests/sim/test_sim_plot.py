import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hybrid_control.sim.plot import plot_world
from hybrid_control.sim.worlds import generate


def test_plot_shows_obstacles_where_they_are_to_scale():
    world = generate("crossing", 0)
    figure = Figure(figsize=(6.5, 4.5), dpi=50)
    ax = figure.add_axes((0, 0, 1, 1))
    plot_world(ax, world)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    x, y, _ = world.cylinders[0]
    column, row = ax.transData.transform((x, y)).astype(int)
    assert image[image.shape[0] - row, column].max() < 120  # dark in the middle of a pillar
    assert ax.get_aspect() == 1.0
    assert len(ax.patches) == len(world.cylinders) + len(world.movers) + 1


def test_plot_shows_things_where_they_are():
    world = generate("holes", 0)
    figure = Figure(figsize=(6.5, 4.5), dpi=50)
    ax = figure.add_axes((0, 0, 1, 1))
    plot_world(ax, world)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    for hole in world.things:
        column, row = ax.transData.transform((hole.x, hole.y)).astype(int)
        assert image[image.shape[0] - row, column].max() < 50
