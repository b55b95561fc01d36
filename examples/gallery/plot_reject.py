"""
Reject what belongs to no class
===============================

*"My network tells ten digits apart. What if I show it a letter? It says 7, and is sure of it."*

A softmax shares 1 among the classes that it knows and has no place for others. Here a network learns the digits 0 to 6
and is asked about 0 to 9. ``pynn.OpenSet`` gives every row a score of how much it is like the data, and rejects rows
that score lower than nearly all validation rows.
"""

import matplotlib.pyplot as plt
import numpy as np

import pynn

(X, y), (Xt, yt) = pynn.datasets.digits()
KNOWN = 7  # digits 0 ... 6 are classes, 7, 8 and 9 are not
RULES = ("softmax", "energy", "neighbors")

# %%
# Train on seven classes
# ----------------------
# 700 rows are kept for calibration. They are of the classes 0 to 6 as well: the rules never see a 7, 8 or 9.


def train(seed):
    """Return a network trained on the digits 0 to 6, its training rows, and rows for calibration."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(y < KNOWN))
    training, validation = rows[:-700], rows[-700:]
    layers = [pynn.Dense(256, activation="relu"), pynn.Dropout(0.3), pynn.Dense(128, activation="relu")]
    model = pynn.Sequential([*layers, pynn.Dense(KNOWN)], seed=seed)
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=1e-3), metrics=["accuracy"])
    model.fit(X[training], y[training], epochs=10, batch_size=64)
    return model, X[training], X[validation]


model, training, validation = train(0)
known = yt < KNOWN
sure = model.predict(Xt[~known]).max(axis=1)
print(f"accuracy on the digits 0 ... 6: {model.evaluate(Xt[known], yt[known])['accuracy']:.3f}")
print(f"digits 7, 8, 9 that it is 90 % sure of: {(sure > 0.9).mean():.0%}")

# %%
# Three rules
# -----------
# ``softmax`` is the largest probability, the rule that everyone tries first. ``energy`` is log Σ exp(logits), which
# does not share. ``neighbors`` compares what the first and the last hidden layer make of a row with the most similar
# training row of the class that the network gives it. All three accept 95 % of the validation rows.

judged = {}
for rule in RULES:
    open_set = pynn.OpenSet(model, rule, keep=0.95).calibrate(training, validation)
    classes = open_set.classify(Xt)
    judged[rule] = (classes[known] == yt[known]).mean(), (classes[~known] == -1).mean()
    print(f"{rule:10} 0 ... 6: {judged[rule][0]:.1%} right    7, 8, 9: {judged[rule][1]:.1%} rejected")

# %%
# Five seeds
# ----------
# The area under the ROC curve is the chance that a known digit scores higher than an unknown one; 0.5 is guessing. It
# does not depend on a threshold.


def area(score, known):
    """Return the area under the ROC curve."""
    order = np.concatenate([score[known], score[~known]]).argsort(kind="stable").argsort(kind="stable")
    n, m = known.sum(), (~known).sum()
    return float((order[: len(score)][:n].sum() - n * (n - 1) / 2) / (n * m))


areas = {rule: [] for rule in RULES}
for seed in range(5):
    model, training, validation = train(seed)
    for rule in RULES:
        score = pynn.OpenSet(model, rule).calibrate(training, validation).score(Xt)
        areas[rule].append(area(score, known))
for rule in RULES:
    print(f"{rule:10} {'  '.join(f'{one:.3f}' for one in areas[rule])}   mean {np.mean(areas[rule]):.3f}")

# %%
# ``neighbors`` is ahead of the largest probability on every seed; ``energy`` is not.
#
# The rejection curve
# -------------------
# The more known digits one is willing to lose, the more unknown ones are rejected.

fig, ax = plt.subplots(figsize=(6, 4))
for rule in RULES:
    score = pynn.OpenSet(model, rule).calibrate(training, validation).score(Xt)
    kept = np.linspace(0.5, 1, 101)
    thresholds = np.quantile(score[known], 1 - kept)
    ax.plot(1 - kept, [(score[~known] < limit).mean() for limit in thresholds], label=rule)
ax.set(xlabel="known digits rejected", ylabel="digits 7, 8, 9 rejected", ylim=(0, 1), title="seed 4")
ax.legend()
fig.tight_layout()

# %%
# The wrapper keeps what two layers make of the training rows: 384 numbers for each of them here. A row is compared with
# all of its class. Validation rows must be new to the network: scores of training
# rows are too good, and a threshold taken from them rejects too much.
