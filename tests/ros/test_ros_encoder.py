from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, SpikeTrainMessage
from hybrid_control_ros.encoder import RateToSpikeNode

from hybrid_control.signals import RateVector, layout

NODE = "rate_to_spike_node"
POPULATIONS = layout(heading=3, speed=2)


def start(graph, **values):
    node = graph.add(RateToSpikeNode, **values)
    spikes = graph.collect(SpikeTrainMessage, "planner/spikes", qos.STREAM)
    publisher = graph.publisher(RateVectorMessage, "planner/rates")
    graph.until(lambda: node.start() if not node.active else publisher.get_subscription_count() == 1)
    graph.until(lambda: node.count_subscribers("planner/spikes") == 1)

    def send(rates):
        vector = RateVector(node.now_ns(), rates, POPULATIONS)
        publisher.publish(convert.rate_vector_message(vector))

    return node, send, spikes


def test_ros_encoder_turns_rates_into_windows_of_spikes_until_they_are_stale(graph):
    _, send, spikes = start(graph, code="regular", rates_timeout=0.3)
    send([200.0, 0.0, 400.0, 0.0, 0.0])
    graph.until(lambda: spikes)
    first = spikes[0].arrival
    graph.until(lambda: spikes[-1].arrival < first + 10 and _quiet(spikes))
    # 0.3 s of windows; on a busy machine the timer may skip some, but never sends on
    assert 0.2 < spikes[-1].arrival - first < 0.45
    trains = [convert.spike_train(s.message) for s in spikes]
    assert all(t.duration_ns == 10_000_000 and t.populations == POPULATIONS for t in trains)
    # evenly spaced: 200 Hz and 400 Hz are 2 and 4 spikes in each window of 10 ms, within one
    for train in trains:
        counts = train.counts()
        assert abs(int(counts[0]) - 2) <= 1
        assert abs(int(counts[2]) - 4) <= 1
        assert counts[[1, 3, 4]].sum() == 0
    total = sum(t.counts() for t in trains)
    assert abs(int(total[0]) - 2 * len(trains)) <= 1
    # one window follows on the other; where the machine was too busy some are left out, but none overlap
    gaps = np.diff([t.stamp_ns for t in trains])
    assert (gaps >= 10_000_000).all()
    assert (gaps == 10_000_000).mean() > 0.5
    # fresh rates set it going again
    count = len(spikes)
    send([0.0, 200.0, 0.0, 0.0, 0.0])
    graph.until(lambda: len(spikes) > count)
    assert convert.spike_train(spikes[-1].message).counts()[0] == 0


def _quiet(spikes):
    import time

    return time.monotonic() - spikes[-1].arrival > 0.3


@pytest.mark.parametrize("code", ["poisson", "latency"])
def test_ros_encoder_speaks_each_code(graph, code):
    _, send, spikes = start(graph, code=code, seed=7)
    send([100.0, 0.0, 50.0, 0.0, 100.0])
    graph.until(lambda: len(spikes) >= 20)
    total = sum(convert.spike_train(s.message).counts() for s in spikes[:20]).astype(int)
    assert total[1] == total[3] == 0
    if code == "latency":  # one spike in each window, whatever the rate
        assert total[[0, 2, 4]].tolist() == [20, 20, 20]
    else:  # 20 expected, standard deviation 4.5
        assert 0 < total[0] < 45


def test_ros_encoder_refuses_rates_that_are_wrong_and_goes_on(graph):
    node, send, spikes = start(graph)
    wrong = graph.publisher(RateVectorMessage, "planner/rates")
    graph.until(lambda: wrong.get_subscription_count() == 1)
    wrong.publish(RateVectorMessage(populations=["a"], sizes=[2], rates=[1.0]))
    wrong.publish(RateVectorMessage(populations=["a"], sizes=[1], rates=[float("nan")]))
    graph.until(lambda: node.refused["planner/rates"] == 2)
    assert not spikes
    send([100.0] * 5)
    graph.until(lambda: spikes)
