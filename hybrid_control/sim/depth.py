"""What a stereo depth camera makes of true depths: noise, gaps, and what it cannot see.

After A. Grunnet-Jepsen, J. N. Sweetser, J. Woodfill, "Tuning depth cameras for best performance", RealSense, 2018: a
stereo camera measures a disparity, focal · baseline / depth in pixels of its own picture, with an error of so many
pixels whatever the depth, so that the error of the depth, depth² · pixels / (focal · baseline), grows with its square.
What one of its two imagers alone sees has no disparity, and no depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

DepthFrame = NDArray[np.float32]  # (height, width) m along the optical axis

BLOCK = 2  # pixels, along and across, that are matched together and err together
JUMP = 2.0  # pixels of disparity between neighbours, from which on something ends there


@dataclass(frozen=True, slots=True)
class StereoDepth:
    """A depth camera, with the numbers of a D435 of 848 x 480 pixels.

    focal: pixels of its own picture; baseline: m; error: pixels of disparity, standard deviation; step: pixels, the
    finest that it tells apart; nearest, farthest: m, within which it measures. Shares of what is lost, 0 .. 1: anywhere
    (lost), beside what ends (lost_at_edges), and through glass, behind which it sees otherwise (lost_in_glass).
    """

    focal: float = 424.0
    baseline: float = 0.05
    error: float = 0.1
    step: float = 1 / 32
    nearest: float = 0.2
    farthest: float = 6.0
    lost: float = 0.01
    lost_at_edges: float = 0.5
    lost_in_glass: float = 0.3

    def __call__(self, true: DepthFrame, glass: NDArray[np.bool_], focal: float, rng: Generator) -> DepthFrame:
        """What it measures, (height, width) m, 0 where it measures nothing.

        true: (height, width) m to what is seen, glass or not; glass: where it is seen through glass; focal: pixels, of
        this picture, in which it is given. Every frame takes as many draws.
        """
        inverse = np.float32(1.0) / np.maximum(true, np.float32(1e-3))  # 1 / m
        blocks = -(-true.shape[0] // BLOCK), -(-true.shape[1] // BLOCK)
        errors, chances = rng.standard_normal(blocks, np.float32), rng.random(blocks, np.float32)
        beside = rng.random(true.shape, np.float32) < self.lost_at_edges
        disparity = np.float32(self.focal * self.baseline) * inverse
        ends = _ends(disparity)
        disparity = np.round((disparity + self.error * _spread(errors, true.shape)) / self.step) * self.step
        with np.errstate(divide="ignore"):
            measured = self.focal * self.baseline / np.maximum(disparity, 0.0)
        gone = _spread(chances, true.shape) < np.where(glass, self.lost_in_glass, self.lost)
        gone |= _one_sees(np.float32(focal * self.baseline) * inverse) | (ends & beside)
        gone |= ~((measured >= self.nearest) & (measured <= self.farthest))
        return np.where(gone, 0.0, measured).astype(np.float32)


def _spread(blocks: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
    """The same number for all the pixels of a block, (height, width)."""
    return blocks.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[: shape[0], : shape[1]]


def _ends(disparity: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which pixels differ by a JUMP from one beside, above or below them."""
    found = np.zeros(disparity.shape, np.bool_)
    for before, after in (((slice(None), slice(-1)), (slice(None), slice(1, None))), (slice(-1), slice(1, None))):
        jumps = np.abs(disparity[before] - disparity[after]) > JUMP
        found[before] |= jumps
        found[after] |= jumps
    return found


def _one_sees(disparity: NDArray[np.floating]) -> NDArray[np.bool_]:
    """What the left imager, which is the picture's, sees alone: what lies to the left of the right one's picture, or
    behind something that is nearer in that. disparity: pixels of the picture, by which the right one has all further to
    the left."""
    there = np.arange(disparity.shape[1], dtype=np.float32) - disparity
    nearest = np.minimum.accumulate(there[:, ::-1], axis=1)[:, ::-1]  # the leftmost of those from here on
    return (there < -0.5) | (there > nearest + 0.5)
