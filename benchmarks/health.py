"""What do the series of layer statistics and the record for the report page cost? Fits with them against fits without.

    python benchmarks/health.py [--quick]

Whole fits on arrays, without validation, on one thread, in pairs that take turns: processor time, which other work on
the machine disturbs least. The ratio is the median over pairs.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from unittest import mock

from measure import NETWORKS, data, mean_ratio, model

import pynn
from pynn.report.health import LayerHealth
from pynn.training import run

OFF = [
    (LayerHealth, "attach", lambda self, trainer: None),
    (run, "recorded", lambda *arguments: None),
]


def fit(network: str, steps: int, off: bool) -> float:
    """Return the seconds of a fit of about so many steps, in 4 epochs."""
    sizes, batch, _ = NETWORKS[network]
    X, y = data(sizes[0], sizes[-1], max(1, steps // 4) * batch)
    net = model(sizes, pynn.Adam(1e-4))
    patches = [mock.patch.object(*patch) for patch in OFF if off]
    for patch in patches:
        patch.start()
    begin = time.process_time()
    net.fit(X, y, epochs=4, batch_size=batch, verbose=0)
    taken = time.process_time() - begin
    for patch in patches:
        patch.stop()
    return taken


def main() -> None:
    """Print time with / time without, in percent above 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    pynn.set_num_threads(1)
    ratios = []
    for network in NETWORKS:
        fit(network, 40, True)
        once = fit(network, 400, True) / 400
        for steps in (400, 4000):
            if steps * once > (1 if options.quick else 1.5):
                continue
            pairs = []
            for pair in range(7 if options.quick else 15):
                order = (False, True) if pair % 2 else (True, False)
                taken = {off: fit(network, steps, off) for off in order}
                pairs.append(taken[False] / taken[True])
            ratio = statistics.median(pairs)
            ratios.append(ratio)
            print(f"{network:24}{steps:6} steps {1e6 * once:10.1f} µs  {100 * (ratio - 1):+6.2f} %", flush=True)
    print(f"geometric mean {100 * (mean_ratio(ratios) - 1):+.2f} %")


if __name__ == "__main__":
    main()
