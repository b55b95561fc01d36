#!/usr/bin/env bash
# Keras 3.15.1 with JAX 0.10.2 (CPU), JAX_ENABLE_X64=1; 2026-12-01.
# Most would guess: under keras.config.set_floatx("float64") a layer of policy float64, with float64 weights and inputs, computes in
#   float64, as the same line of JAX does.
# What happens: the policy and the weights read float64, and Dense(activation="relu") is right to the last digits, but with "tanh" the
#   output is float32 and off by 1e-7. Keras derives the type of an operation's result from a table that turns float64 into float32 on
#   every backend but TensorFlow, so it depends on the operation whether a network is computed in double. Nothing is said; gradient
#   checks by differences and comparisons with a reference in double fail by 1e-7.
# Seen: "policy float64, weights float64: relu float64 off by 0e+00, tanh float32 off by 1e-07; jax.numpy.tanh off by 0e+00".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 jax==0.10.2
cd "$folder"
JAX_ENABLE_X64=1 KERAS_BACKEND=jax KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import jax.numpy as jnp
import keras
import numpy as np

keras.config.set_floatx("float64")
rng = np.random.default_rng(0)
x, w, b = rng.normal(size=(40, 6)), rng.normal(size=(6, 5)), rng.normal(size=5)
z = x @ w + b


def off(found, expected):
    error = np.abs(np.asarray(found) - expected).max()
    return 0.0 if error < 1e-14 else 10.0 ** round(np.log10(error))


said, errors = [], []
for name, expected in (("relu", np.maximum(z, 0)), ("tanh", np.tanh(z))):
    layer = keras.layers.Dense(5, name)
    layer.build((None, 6))
    layer.set_weights([w, b])
    out = keras.ops.convert_to_numpy(layer(x))
    errors.append(off(out, expected))
    said.append(f"{name} {out.dtype} off by {errors[-1]:.0e}")
plain = off(jnp.tanh(z), np.tanh(z))
print(f"policy {layer.dtype_policy.name}, weights {layer.kernel.dtype}: {', '.join(said)}; jax.numpy.tanh off by {plain:.0e}")
raise SystemExit(not (errors[0] == 0 and errors[1] >= 1e-8 and plain == 0))
PYTHON
