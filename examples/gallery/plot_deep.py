"""
Fifty layers
============

*"Why does my network stop learning when I add layers? With three it works, with twenty the loss does not move."*

The same digits, with 50 hidden layers of 64 units: first with sigmoids, then with ReLU, then with residual blocks and
normalization. After each, what pynn says about it.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import pynn

warnings.simplefilter("ignore", pynn.TrainingWarning)  # the reports are printed below
(X, y), (Xt, yt) = pynn.datasets.digits()
DEPTH, UNITS = 50, 64


def train(layers, optimizer, epochs=5, seed=0):
    """Return a network trained on the digits."""
    model = pynn.Sequential(layers, seed=seed)
    model.compile("softmax_cross_entropy", optimizer, metrics=["accuracy"])
    model.fit(X, y, epochs=epochs, batch_size=64)
    return model


def accuracies(model):
    return model.evaluate(X, y)["accuracy"], model.evaluate(Xt, yt)["accuracy"]


reached = {}


def show(name, model):
    reached[name] = accuracies(model)
    print("{}: {:.1%} of the training rows, {:.1%} of the test rows".format(name, *reached[name]))
    print(model.history.report)


# %%
# Sigmoids
# --------
# The derivative of a sigmoid is at most ¼, and a gradient is multiplied by it in every layer: by at most ¼⁵⁰ ≈ 1e-30.


def sigmoids():
    return [*(pynn.Dense(UNITS, activation="sigmoid") for _ in range(DEPTH)), pynn.Dense(10)]


deep = train(sigmoids(), pynn.SGD(learning_rate=0.1))
show("sigmoid", deep)

# %%
# The size of the gradient by layer, from ``model.statistics``:


def gradients(model):
    """Return the root mean square of the gradient of each hidden Dense layer."""
    dense = [index for index, layer in enumerate(model.layers) if isinstance(layer.spec, pynn.Dense)]
    return [model.statistics(index)["gradient_rms"] for index in dense[:-1]]


profile = {"sigmoid": gradients(deep)}

# %%
# ReLU
# ----
# Its derivative is 1 where it is not 0, and He's initial weights, the default, keep the mean size of the signal. That
# holds on average only. Over 50 layers the direction of the input is lost, and some units die.


def relus():
    return [*(pynn.Dense(UNITS, activation="relu") for _ in range(DEPTH)), pynn.Dense(10)]


deep = train(relus(), pynn.SGD(learning_rate=0.1))
show("ReLU, SGD", deep)
profile["ReLU"] = gradients(deep)

# %%
# Adam takes steps of the same size whatever the size of the gradient, and gets somewhere:

show("ReLU, Adam", train(relus(), pynn.Adam(learning_rate=1e-3)))

# %%
# Residual blocks with normalization
# ----------------------------------
# A block adds its input to what it computes, y = x + f(x), so a gradient goes around every layer unchanged.
# Normalization before each layer keeps the sum from growing.


def blocks(depth=DEPTH):
    def block():
        return pynn.Residual([pynn.LayerNormalization(), pynn.Dense(UNITS, activation="relu")])

    first = pynn.Dense(UNITS, activation="relu")
    return [first, *(block() for _ in range(depth - 1)), pynn.LayerNormalization(), pynn.Dense(10)]


deep = train(blocks(), pynn.SGD(learning_rate=0.1), epochs=8)
show("residual", deep)
profile["residual"] = gradients(deep)

# %%
# Here are the gradients of the last step that took statistics, from the first layer to the last:

fig, ax = plt.subplots(figsize=(7, 4))
for name, sizes in profile.items():
    ax.semilogy(np.maximum(sizes, 1e-45), label=name)
ax.set(xlabel="hidden layer", ylabel="gradient, root mean square", title="784-64×50-10, SGD")
ax.legend()
fig.tight_layout()

# %%
# The same on five seeds:

seeds = [accuracies(train(blocks(), pynn.SGD(learning_rate=0.1), epochs=8, seed=seed)) for seed in range(5)]
print("training rows", "  ".join(f"{one:.1%}" for one, _ in seeds))
print("test rows    ", "  ".join(f"{one:.1%}" for _, one in seeds))

# %%
# What diagnose and repair say
# ----------------------------
# ``pynn.diagnose`` cures one thing at a time and reports what helped; ``pynn.repair`` returns the network trained. It
# makes the fewest changes that are as good as the best run it tried.

asked = pynn.Sequential(sigmoids(), seed=0)
asked.compile("softmax_cross_entropy", pynn.SGD(learning_rate=0.1), metrics=["accuracy"])
report = pynn.diagnose(asked, X, y, epochs=5, batch_size=64)
print(report)
result = pynn.repair(asked, X, y, epochs=5, batch_size=64)
print(result)
print("{:.1%} of the training rows, {:.1%} of the test rows".format(*accuracies(result.model)))
