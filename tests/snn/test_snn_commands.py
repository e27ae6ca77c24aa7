import argparse

import nir
import numpy as np
import pytest

from hybrid_control.cli.snn import add_commands
from hybrid_control.snn import Engine, Network


def call(*words):
    """Run a command line as cli.py does."""
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    args = parser.parse_args(["snn", *map(str, words)])
    return args.run(args)


@pytest.fixture
def net():
    net = Network()
    net.add_input("x", (2, 3))
    net.add_population("n", nir.LIF, (2, 3), tau=5e-3, r=4.0)
    net.edge("x", "n")
    net.add_output("y", "n")
    return net


@pytest.fixture
def file(net, tmp_path):
    net.save(tmp_path / "net.nir")
    return tmp_path / "net.nir"


def test_run_writes_the_output_and_what_is_recorded(net, file, tmp_path):
    x = np.random.default_rng(0).uniform(0, 1, (4500, 2, 3))
    np.save(tmp_path / "in.npy", x)
    words = ["run", file, "--input", tmp_path / "in.npy", "--dt", "2e-3", "--scheme", "exponential"]
    assert call(*words, "--reset", "subtract", "--out", tmp_path / "out.npz", "--record", "n") == 0
    want = Engine(net, dt=2e-3, scheme="exponential", reset="subtract").run(x, record=("n",))
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["output"], want["output"])
        np.testing.assert_array_equal(out["n"], want["n"]["spikes"])
        np.testing.assert_array_equal(out["n.voltage"], want["n"]["voltage"])
        assert 0 < out["output"].mean() < 1


def test_run_takes_batches_each_from_the_start(net, file, tmp_path):
    x = np.random.default_rng(0).uniform(0, 1, (3, 20, 2, 3))
    np.save(tmp_path / "in.npy", x)
    call("run", file, "--input", tmp_path / "in.npy", "--out", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as out:
        assert out["output"].shape == x.shape
        for b in range(3):
            np.testing.assert_array_equal(out["output"][b], Engine(net).run(x[b]))


def test_run_takes_several_inputs_by_name_and_gives_several_outputs(tmp_path):
    net = Network()
    for side in ("left", "right"):
        net.add_input(side, 1)
        net.add(f"s_{side}", nir.Scale(np.array([2.0])))
        net.edge(side, f"s_{side}")
        net.add_output(f"out_{side}", f"s_{side}")
    net.save(tmp_path / "two.nir")
    np.savez(tmp_path / "in.npz", left=[[1.0], [2.0]], right=[[5.0], [6.0]])
    call("run", tmp_path / "two.nir", "--input", tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as out:
        assert out["out_left"].tolist() == [[2], [4]]
        assert out["out_right"].tolist() == [[10], [12]]


def test_info_prints_each_node_with_its_shapes(file, capsys):
    assert call("info", file) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["node", "type", "in", "out", "parameters", "leads", "to"]
    assert any(line.split() == ["n", "LIF", "2x3", "2x3", "30", "y"] for line in lines)
    assert any("6 neurons" in line for line in lines)


def test_plot_draws_the_spikes_that_a_run_wrote(file, tmp_path):
    np.save(tmp_path / "in.npy", np.ones((2, 50, 2, 3)))
    call("run", file, "--input", tmp_path / "in.npy", "--out", tmp_path / "out.npz", "--record", "n")
    call("plot", tmp_path / "out.npz", "--out", tmp_path / "raster.png", "--batch", "1")
    assert (tmp_path / "raster.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no spikes of \\['z'\\]"):
        call("plot", tmp_path / "out.npz", "--out", tmp_path / "raster.png", "--node", "z")
    with pytest.raises(ValueError, match="items 0 to 1"):
        call("plot", tmp_path / "out.npz", "--out", tmp_path / "raster.png", "--batch", "2")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((5, 7)), r"input 'x': float64 of shape \(5, 7\), expected"),
        (np.full((5, 2, 3), np.nan), "NaN or infinity in step 0"),
        (np.ones((5, 2, 3), complex), "complex128"),
    ],
)
def test_run_refuses_inputs_that_do_not_fit(file, tmp_path, x, message):
    np.save(tmp_path / "in.npy", x)
    with pytest.raises(ValueError, match=message):
        call("run", file, "--input", tmp_path / "in.npy", "--out", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_run_names_a_node_that_cannot_be_recorded_and_a_file_that_is_no_array(file, tmp_path):
    np.save(tmp_path / "in.npy", np.ones((5, 2, 3)))
    with pytest.raises(ValueError, match="there is no node 'q'"):
        call("run", file, "--input", tmp_path / "in.npy", "--out", tmp_path / "o.npz", "--record", "q")
    (tmp_path / "junk.npy").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"junk\.npy: not a \.npy"):
        call("run", file, "--input", tmp_path / "junk.npy", "--out", tmp_path / "o.npz")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array(3.0), r"in\.npy: not a .* single number"),
        (np.ones((0, 5, 2, 3)), r"batches of \[0\] items"),
        (np.full((5, 2, 3), 1e300), "NaN or infinity"),
    ],
)
def test_run_refuses_empty_batches_single_numbers_and_what_is_too_large(file, tmp_path, x, message):
    np.save(tmp_path / "in.npy", x)
    with pytest.raises(ValueError, match=message):
        call("run", file, "--input", tmp_path / "in.npy", "--out", tmp_path / "out.npz")


def test_run_refuses_a_damaged_archive(file, tmp_path):
    np.savez_compressed(tmp_path / "in.npz", x=np.random.default_rng(0).random((50, 2, 3)))
    stored = (tmp_path / "in.npz").read_bytes()
    for damaged in (stored[: len(stored) // 2], stored[:200] + b"!" * 40 + stored[240:]):
        (tmp_path / "in.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"in\.npz: not a"):
            call("run", file, "--input", tmp_path / "in.npz", "--out", tmp_path / "out.npz")


def test_nodes_may_be_named_as_the_arguments_of_numpys_own_functions(tmp_path):
    net = Network()
    net.add_input("input", 1)
    net.add_output("file", "input")
    net.add_output("output", "input")
    net.save(tmp_path / "net.nir")
    np.save(tmp_path / "in.npy", [[1.0], [2.0]])
    words = ["run", tmp_path / "net.nir", "--input", tmp_path / "in.npy", "--out", tmp_path / "out"]
    call(*words, "--record", "output", "--record", "input", "--record", "input")
    with np.load(tmp_path / "out") as out:
        assert set(out.files) == {"file", "output", "input", "run.dt", "run.batched"}
        assert out["output"].tolist() == out["file"].tolist() == [[1], [2]]


def test_a_population_named_output_cannot_be_recorded_over_the_output():
    net = Network()
    net.add_population("output", nir.LIF, 1, tau=5e-3)
    net.add_output("o", "output")
    with pytest.raises(ValueError, match="named 'output' cannot be recorded"):
        Engine(net).run(3, record=("output",))


def test_a_warning_is_one_line(file, capsys):
    call("info", file, "--dt", "0.1")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hybrid-control: warning: node 'n': dt 0.1 s is larger than tau 0.005 s")


def test_files_that_will_not_open_are_named_in_one_line(file, tmp_path):
    (tmp_path / "cut.nir").write_bytes(file.read_bytes()[:-1000])
    for path, kind in (("cut.nir", ValueError), ("nowhere.nir", OSError), (".", OSError)):
        with pytest.raises(kind) as caught:
            call("info", tmp_path / path)
        assert str(tmp_path / path) in str(caught.value)
        assert "\n" not in str(caught.value)
