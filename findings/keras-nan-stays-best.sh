#!/usr/bin/env bash
# Keras 3.15.1 with JAX 0.10.2 (CPU); 2026-12-01.
# Most would guess: an epoch whose val_loss is NaN is worse than any other, so a run that recovers from it goes on and keeps its best
#   finite epoch.
# What happens: EarlyStopping takes the first epoch's value as the best without looking at it. Nothing is less than NaN, so no later
#   epoch is better: training stops after `patience` epochs while the loss falls, and restore_best_weights puts back the weights of the
#   NaN epoch. One NaN in the first validation decides the run.
# Seen: "stopped after epoch 3 with val_loss 0.3, restored the weights of epoch 0, best nan".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 jax==0.10.2
cd "$folder"
KERAS_BACKEND=jax KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np


class Replay(keras.callbacks.Callback):
    """Give the callbacks after it the validation losses of a run that recovers from a NaN; mark each epoch's weights."""

    losses = [float("nan"), 0.9, 0.5, 0.3, 0.2, 0.1]

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.losses[epoch]
        self.model.set_weights([np.full_like(w, epoch) for w in self.model.get_weights()])


model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
model.compile(loss="mse", optimizer="sgd")
stop = keras.callbacks.EarlyStopping("val_loss", mode="min", patience=3, restore_best_weights=True)
model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=6, verbose=0, callbacks=[Replay(), stop])
restored = int(model.get_weights()[0][0, 0])
last = Replay.losses[stop.stopped_epoch]
print(f"stopped after epoch {stop.stopped_epoch} with val_loss {last}, restored the weights of epoch {restored}, best {stop.best}")
raise SystemExit(not (stop.stopped_epoch == 3 and restored == 0 and stop.best != stop.best))
PYTHON
