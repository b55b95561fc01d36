#!/usr/bin/env bash
# emlearn 0.23.2, NumPy 2.4.6; 2026-12-01.
# Most would guess: importing a library that converts scikit-learn models to C leaves NumPy's handling of floating-point errors alone.
# What happens: `import emlearn` leaves numpy.seterr(all="raise") behind for the whole process. Code that ran before, in other
#   libraries too, now raises FloatingPointError: on overflow and division by zero, which gave a warning, and on underflow, which
#   NumPy ignores by default and which any softmax over distant logits produces.
# Seen: "before: ignore, 2.0 from a softmax's sum; after: raise, FloatingPointError: underflow encountered in exp".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check emlearn==0.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np


def softmax_sum():
    logits = np.array([0.0, 0.0, -800.0])
    return np.exp(logits - logits.max()).sum()


before, value = np.geterr()["under"], softmax_sum()
import emlearn  # noqa: E402, F401

try:
    after = f"{softmax_sum()}"
except FloatingPointError as error:
    after = f"FloatingPointError: {error}"
print(f"before: {before}, {value} from a softmax's sum; after: {np.geterr()['under']}, {after}")
raise SystemExit(not (before == "ignore" and value == 2 and after.startswith("FloatingPointError")))
PYTHON
