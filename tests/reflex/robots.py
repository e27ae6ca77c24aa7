"""Random robots with random lidars in random halls, 15 s each: `python tests/reflex/robots.py [COUNT] [FIRST]`.

Says each that touches a wall while it drives, by its seed, and ends with status 1 where one does.
"""

from __future__ import annotations

import math
import os
import sys
from multiprocessing import Pool

from test_reflex_reach import contact
from tqdm import tqdm


def main(count: int = 10_000, first: int = 0) -> int:
    touched, ways = [], []
    with Pool(os.cpu_count()) as pool, tqdm(total=count, unit="robot", disable=None) as bar:
        results = pool.imap(contact, range(first, first + count), chunksize=20)
        for seed, (speed, way) in enumerate(results, first):
            ways.append(way)
            if not math.isnan(speed):
                touched.append(seed)
                print(f"robot {seed} touched a wall at {speed:.2f} m/s", flush=True)
            elif bar.disable and len(ways) % 500 == 0:
                print(f"{len(ways)} of {count}, {len(touched)} touched a wall", flush=True)
            bar.update()
    moved = sum(way > 0.3 for way in ways)
    print(f"{len(touched)} of {count} robots touched a wall; {moved} drove more than 0.3 m, {sum(ways):.0f} m in all")
    return int(bool(touched))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
