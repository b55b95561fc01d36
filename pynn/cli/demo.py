"""``pynn demo``: train a network on real digits."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from .. import datasets, optimizers, plots
from ..callbacks.base import Callback
from ..layers.dense import Dense
from ..model import Sequential


class _Table(Callback):
    """Prints a row for each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if epoch == 0:
            print(
                f"{'epoch':>5}  {'loss':>7}  {'accuracy':>8}  {'test loss':>9}  {'test accuracy':>13}  {'seconds':>7}"
            )
        print(
            f"{epoch + 1:>5}  {logs['loss']:>7.4f}  {100 * logs['accuracy']:>6.2f} %  {logs['val_loss']:>9.4f}  "
            f"{100 * logs['val_accuracy']:>11.2f} %  {logs.get('seconds', float('nan')):>7.2f}",
            flush=True,
        )


def run(options: argparse.Namespace) -> int:
    """Train, save the model and draw the learning curve."""
    options.out.mkdir(parents=True, exist_ok=True)
    (X, y), (Xt, yt) = datasets.digits()
    model = Sequential([Dense(128, activation="relu"), Dense(10)], seed=options.seed)
    model.compile(loss="softmax_cross_entropy", optimizer=optimizers.Adam(learning_rate=1e-3), metrics=["accuracy"])
    print(f"Training 784-128-10 (ReLU, Adam 0.001, batches of 64) on {len(X):,} real handwritten digits.\n")
    start = time.perf_counter()
    history = model.fit(
        X, y, epochs=options.epochs, batch_size=64, validation_data=(Xt, yt), callbacks=[_Table()], verbose=0
    )
    seconds = time.perf_counter() - start
    accuracy = model.evaluate(Xt, yt)["accuracy"]
    wrong = round((1 - accuracy) * len(Xt))
    print(
        f"\nTest accuracy {100 * accuracy:.2f} %: {len(Xt) - wrong} of {len(Xt):,} digits it had never seen, "
        f"after {seconds:.1f} s of training.\n"
    )
    path = options.out / "digits.safetensors"
    model.save(path)
    print(f"  model           {path}\n  learning curve  {_draw(history, options.out)}\n")
    print("Use it:\n")
    print("    import pynn")
    print(f"    model = pynn.load({str(path)!r})")
    print("    model.predict(pynn.datasets.digits()[1][0][:1]).argmax()")
    print(f"\nThe first test digit is a {yt[0]}; the model says {model.predict(Xt[:1]).argmax()}.")
    return 0


def _draw(history: Any, folder: Path) -> Path:
    """The learning curve as a picture, or without matplotlib as text, on the terminal too."""
    try:
        path = folder / "learning_curve.png"
        plots.save_learning_curve(history, path, title="784-128-10 on MNIST digits")
    except plots.MissingDependencyError:
        unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
        charts = (plots.text_curve(history, metric=m, unicode=unicode) for m in ("loss", "accuracy"))
        text = "\n\n".join(charts)
        path = folder / "learning_curve.txt"
        path.write_text(text + "\n", encoding="utf-8")
        print(text + "\n\n(A picture instead: pip install 'pynn-dense[plot]')\n")
    return path
