"""Count the Python calls of one `fit` of one step, and how often they change from one file of pynn to another.

python benchmarks/walk.py          # prints the two counts, and the files by their calls
python benchmarks/walk.py --calls  # prints every call as well, indented by its depth
"""

import itertools
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import pynn

PACKAGE = str(Path(pynn.__file__).parent)


def walk():
    """The calls of pynn's functions in one `fit` of one step on arrays: (depth, file, function) in order."""
    X = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
    y = np.arange(32) % 3
    for _ in range(2):  # the first run imports modules
        model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(3)], seed=0)
        model.compile(loss="softmax_cross_entropy", optimizer="adam", metrics=["accuracy"])
        calls, depth = [], 0

        def note(frame, event, _):
            nonlocal depth
            name = frame.f_code.co_filename
            if not name.startswith(PACKAGE):
                return
            if event == "call":
                calls.append((depth, name[len(PACKAGE) + 1 :], frame.f_code.co_qualname))  # noqa: B023
                depth += 1
            elif event == "return":
                depth -= 1

        sys.setprofile(note)
        try:
            model.fit(X, y, batch_size=32, verbose=0)
        finally:
            sys.setprofile(None)
    return calls


def changes(calls):
    """How often a call is in another file than the one before it."""
    return sum(before[1] != after[1] for before, after in itertools.pairwise(calls))


def main():
    calls = walk()
    if "--calls" in sys.argv:
        for depth, file, function in calls:
            print(f"{'  ' * depth}{file} {function}")
    print(f"{len(calls)} calls, {changes(calls)} changes of file")
    for file, count in Counter(file for _, file, _ in calls).most_common():
        print(f"{count:5} {file}")


if __name__ == "__main__":
    main()
