"""Draws the picture of the README, docs/learning_curve.png: how `pynn demo` learns, and which digits it misreads.

python docs/pictures.py    (needs matplotlib)
"""

from pathlib import Path

from matplotlib.figure import Figure

import pynn
from pynn.plots import learning_curve

(X, y), (Xt, yt) = pynn.datasets.digits()
model = pynn.Sequential([pynn.Dense(128, activation="relu"), pynn.Dense(10)], seed=0)
model.compile(loss="softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=1e-3), metrics=["accuracy"])
history = model.fit(X, y, epochs=10, batch_size=64, validation_data=(Xt, yt))
probabilities = model.predict(Xt)
said = probabilities.argmax(axis=1)
surest = (-probabilities.max(axis=1)).argsort()
wrong = [row for row in surest if said[row] != yt[row]]

figure = Figure(figsize=(11, 4.3), layout="constrained", facecolor="white")
curve, gallery = figure.subfigures(1, 2, width_ratios=[1, 1.05])
ax = learning_curve(history, curve.subplots(), metric="accuracy")
ax.set_title("Learning 7,000 digits", loc="left", fontsize=13, fontweight="bold", color="#22313f")
gallery.suptitle(
    f"{len(wrong)} of {len(Xt):,} misread: those it was surest of", x=0.02, ha="left", fontsize=13,
    fontweight="bold", color="#22313f",
)  # fmt: skip
for axes, row in zip(gallery.subplots(3, 6).flat, wrong, strict=False):
    axes.imshow(Xt[row].reshape(28, 28), cmap="gray_r", interpolation="nearest")
    axes.set_title(f"{yt[row]}, said {said[row]}", fontsize=9.5, color="#d9480f", pad=3)
    axes.set_axis_off()
figure.savefig(Path(__file__).with_name("learning_curve.png"), dpi=110)
