"""
The question that started it
============================

*"I wrote a neural network in NumPy for handwritten digits. Some combinations of layer width, minibatch size and
learning rate give NaN. With others the activations shrink to 1e-100. And even when neither happens, loss and accuracy
do not move. What is wrong?"*

This page rebuilds that network, checks its gradients, shows its faults one at a time, and cures each.
Every number below is printed by the code beside it.
"""

import warnings

import numpy as np

import pynn

warnings.simplefilter("ignore", pynn.TrainingWarning)  # the reports are printed below
(X, y), (Xt, yt) = pynn.datasets.digits()
X, y, Xt = X[:1000].astype(float), y[:1000], Xt.astype(float)
Y, Yt = np.eye(10)[y], np.eye(10)[yt]  # one-hot targets

# %%
# The network, as asked
# ---------------------
# Fully connected layers with one activation each and weights from N(0, 1). The loss is ½(y′ − y)². The delta of the
# output layer is y′ − y, without the derivative of its activation. The delta of a hidden layer is a′ ⊙ (Wᵀδ).
# Gradients δ·a are averaged over the minibatch, and ``W + lr * gradient`` is the update, with a negative ``lr``.

ACTIVATIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "linear": (lambda z: z, np.ones_like),
}


class NumpyNetwork:
    """The network of the question. `scaled` and `output_slope` are two of the cures."""

    def __init__(self, sizes, activation, output=None, scaled=False, output_slope=False, seed=0):
        random = np.random.default_rng(seed)
        self.f = [ACTIVATIONS[activation]] * (len(sizes) - 2) + [ACTIVATIONS[output or activation]]
        self.W = [random.normal(size=(n, m)) * (np.sqrt(1 / m) if scaled else 1) for m, n in zip(sizes, sizes[1:])]
        self.b = [np.zeros(n) for n in sizes[1:]]
        self.output_slope = output_slope

    def forward(self, x):
        self.z, self.a = [], [x]
        for W, b, (f, _) in zip(self.W, self.b, self.f):
            self.z.append(self.a[-1] @ W.T + b)
            self.a.append(f(self.z[-1]))
        return self.a[-1]

    def gradients(self, x, y):
        delta = self.forward(x) - y
        if self.output_slope:
            delta = delta * self.f[-1][1](self.z[-1])
        found = []
        for i in reversed(range(len(self.W))):
            found.append((delta.T @ self.a[i] / len(x), delta.mean(axis=0)))
            if i > 0:
                delta = self.f[i - 1][1](self.z[i - 1]) * (delta @ self.W[i])
        return found[::-1]

    def train(self, X, Y, lr, batch, epochs=1):
        """Take steps until the weights are no longer finite. Return the number of steps."""
        random, steps = np.random.default_rng(0), 0
        for _ in range(epochs):
            order = random.permutation(len(X))
            for first in range(0, len(X), batch):
                rows = order[first : first + batch]
                for i, (dW, db) in enumerate(self.gradients(X[rows], Y[rows])):
                    self.W[i] = self.W[i] + lr * dW
                    self.b[i] = self.b[i] + lr * db
                steps += 1
                if not all(np.isfinite(W).all() for W in self.W):
                    return steps
        return steps


def accuracy(network):
    return float((network.forward(Xt).argmax(axis=1) == yt).mean())


# %%
# What it does
# ------------
# One epoch of 1,000 digits. All three complaints are there: NaN, activations below 1e-100, and an accuracy at the level
# of chance in runs that stay finite.

outcomes = {}
with np.errstate(all="ignore"):
    for activation in ("sigmoid", "tanh", "relu"):
        for width in (100, 1000):
            for lr in (-0.01, -1.0):
                network = NumpyNetwork([784, width, width, 10], activation)
                steps = network.train(X, Y, lr, batch=10)
                out = network.forward(Xt)
                finite = bool(np.isfinite(out).all())
                smallest = min(abs(a[a != 0]).min(initial=np.inf) for a in network.a[1:]) if finite else np.nan
                outcomes[activation, width, lr] = finite, accuracy(network), smallest
                said = f"accuracy {accuracy(network):.2f}, smallest activation {smallest:.0e}"
                print(f"{activation:8} width {width:4}  lr {lr:5}: {said if finite else f'NaN after {steps} steps'}")

# %%
# Fault 1: a formula
# ------------------
# A gradient check moves one weight at a time by a small step in both directions. The difference of the two losses,
# over the distance, is what the gradient must be. It needs no theory and finds every wrong formula.


def half_squares(out, y):
    return 0.5 * ((out - y) ** 2).sum(axis=1).mean()


def cross_entropy(out, y):
    return -(y * np.log(out) + (1 - y) * np.log(1 - out)).sum(axis=1).mean()


def check(network, loss, x, y, tried=40, h=1e-5):
    """Return the largest error of each layer's gradient, relative to the largest entry of the true one."""
    errors = []
    for W, (dW, _) in zip(network.W, network.gradients(x, y)):
        at = np.argsort(-abs(dW), axis=None)[:tried]  # the entries that matter most
        true = np.empty(tried)
        for k, place in enumerate(at):
            old = W.flat[place]
            W.flat[place] = old + h
            up = loss(network.forward(x), y)
            W.flat[place] = old - h
            true[k] = (up - loss(network.forward(x), y)) / (2 * h)
            W.flat[place] = old
        errors.append(float(abs(dW.flat[at] - true).max() / abs(true).max()))
    return errors


checked = {}
x, t = X[:50], Y[:50]
for activation in ("sigmoid", "tanh", "linear"):
    for slope in (False, True):
        small = NumpyNetwork([784, 20, 20, 10], "tanh", activation, scaled=True, output_slope=slope)
        checked[activation, slope] = check(small, half_squares, x, t)
        formula = "(y' - y) f'(z)" if slope else "y' - y"
        errors = "  ".join(f"{error:8.1e}" for error in checked[activation, slope])
        print(f"output {activation:8} delta = {formula:15} relative error by layer: {errors}")

# %%
# The hidden layers, the averages and the sign are right: with f′(z) in the output delta all layers agree to 1e-8.
# Without it a sigmoid's gradient is several times too large, in every layer, and by another factor for each row and
# unit: that is not a larger learning rate but another direction. With a linear output f′ = 1, and the formula is right.
#
# There is one more case in which y′ − y is right. It is the delta of a sigmoid under the *cross-entropy*:

small = NumpyNetwork([784, 20, 20, 10], "tanh", "sigmoid", scaled=True)
checked["cross-entropy"] = check(small, cross_entropy, x, t)
print("sigmoid under cross-entropy:", "  ".join(f"{error:.1e}" for error in checked["cross-entropy"]))

# %%
# So the question's network minimizes a good loss and reports another one. **Cure:** multiply by f′(z), or, better for
# classes, keep y′ − y and call the loss by its name. Under the squared error f′(z) makes a unit that is sure and wrong
# learn nothing.
#
# pynn has the same gradient to the last digits. One step of SGD with a learning rate of 1 subtracts it from the
# weights:


def half_squares_by_row(out, target):  # a loss of our own: value and gradient of each row
    return 0.5 * ((out - target) ** 2).sum(axis=1), out - target


layers = [pynn.Dense(20, activation="tanh"), pynn.Dense(20, activation="tanh"), pynn.Dense(10, activation="sigmoid")]
model = pynn.Sequential(layers, seed=0, dtype="float64")
model.compile(half_squares_by_row, pynn.SGD(learning_rate=1.0))
model.build(784)
small = NumpyNetwork([784, 20, 20, 10], "tanh", "sigmoid", scaled=True, output_slope=True)
for layer, W in zip(model.layers, small.W):
    layer.kernel[...] = W.T
model.train_step(x, t)
distance = max(
    abs((W.T - layer.kernel) - dW.T).max() / abs(dW).max()
    for layer, W, (dW, _) in zip(model.layers, small.W, small.gradients(x, t))
)
print(f"pynn's gradient against NumPy's with f'(z): relative difference {distance:.0e}")

# %%
# Fault 2: the size of the weights
# --------------------------------
# The inputs of a unit are sums of many terms. With weights from N(0, 1) the sum over 1,000 units has a standard
# deviation of about 20, where a sigmoid is flat: σ′(20) = 2e-9. Deltas are multiplied by that in every layer.
# With ReLU nothing above 0 is flat, and the sums grow by a factor of about 20 a layer instead.

sizes = {}
for activation in ("sigmoid", "relu"):
    for scaled in (False, True):
        network = NumpyNetwork([784, 1000, 1000, 10], activation, scaled=scaled)
        network.forward(X[:200])
        sizes[activation, scaled] = [float(z.std()) for z in network.z]
        flat = float((network.f[1][1](network.z[1]) < 1e-3).mean())
        said = f", slopes below 0.001 in layer 1: {flat:.0%}" if activation == "sigmoid" else ""
        stds = "  ".join(f"{z.std():8.3g}" for z in network.z)
        print(f"{activation:8} {'N(0, 1/inputs)' if scaled else 'N(0, 1)':15} std of z by layer: {stds}{said}")

# %%
# **Cure:** divide the weights by the square root of the number of inputs (Glorot; He for ReLU with √2). It is the
# default of ``Dense``. pynn says so at the end of a run that stands still:

wide = pynn.initializers.RandomNormal(stddev=1.0)


def asked(activation, width=100):
    """Return the question's network, in pynn."""
    layers = [pynn.Dense(n, activation=activation, kernel_initializer=wide) for n in (width, width, 10)]
    model = pynn.Sequential(layers, seed=0)
    model.compile("mse", pynn.SGD(learning_rate=0.05), metrics=["accuracy"])
    return model  # mse is the mean over outputs too: five times the rate makes the same steps


reports = {name: asked(name).fit(X, Y, batch_size=10).report for name in ("sigmoid", "tanh", "relu")}
print(reports["tanh"])

# %%
# Fault 3: the learning rate
# --------------------------
# A step of gradient descent overshoots when the learning rate exceeds 2/curvature. The curvature grows with width and
# with the size of activations, so a rate that suits 100 units gives NaN at 1,000. The minibatch decides how far one
# gradient is from the mean. Here the weights are scaled, the formula is right, and only the rate differs:

rates = {}
with np.errstate(all="ignore"):
    for width in (100, 1000):
        for lr in (-0.003, -0.03, -0.3):
            network = NumpyNetwork([784, width, width, 10], "relu", "linear", scaled=True)
            network.train(X, Y, lr, batch=10)
            finite = bool(np.isfinite(network.forward(Xt)).all())
            rates[width, lr] = accuracy(network) if finite else float("nan")
            print(f"width {width:4}  lr {lr:6}: {f'accuracy {accuracy(network):.2f}' if finite else 'NaN'}")

# %%
# **Cure:** a learning rate test, or a guard that goes back and lowers the rate. pynn refuses the step that would not be
# finite, before a weight changes, and names the cause:

layers = [pynn.Dense(1000, activation="relu"), pynn.Dense(1000, activation="relu"), pynn.Dense(10)]
fast = pynn.Sequential(layers, seed=0)
fast.compile("mse", pynn.SGD(learning_rate=30.0), metrics=["accuracy"])
try:
    fast.fit(X, Y, batch_size=10)
except pynn.NumericalError as error:
    refused = error.report
    print(refused)

# %%
# Fault 4: an activation at the output
# ------------------------------------
# A ReLU output that is 0 for all rows has gradient 0. Its loss stays at ½ and its accuracy at chance, for ever and
# without any NaN. With batches of 100 instead of 10, that is how the network with ReLU and 100 units ends:

with np.errstate(all="ignore"):
    network = NumpyNetwork([784, 100, 100, 10], "relu")
    network.train(X, Y, -0.01, batch=100)
zeros = float((network.forward(Xt) == 0).mean())
print(
    f"outputs that are 0: {zeros:.0%}, loss {half_squares(network.a[-1], Yt):.2f}, accuracy {accuracy(network):.2f}\n"
)
print(reports["relu"])

# %%
# **Cure:** no activation in the last layer, and a loss that takes its values: softmax cross-entropy for classes.
#
# All together
# ------------
# Five epochs, with one cure after the other, each added to those before.


def network_of(**options):
    return NumpyNetwork([784, 100, 100, 10], "sigmoid", **options)


stages = []
cures = [
    ("as asked", {}, -0.05),
    ("right formula", {"output_slope": True}, -0.05),
    ("and scaled weights", {"output_slope": True, "scaled": True}, -0.05),
    ("and a linear output", {"output_slope": True, "scaled": True, "output": "linear"}, -0.05),
]
for name, options, lr in cures:
    network = network_of(**options)
    network.train(X, Y, lr, batch=10, epochs=5)
    stages.append((name, accuracy(network)))

model = pynn.Sequential(
    [pynn.Dense(100, activation="relu"), pynn.Dense(100, activation="relu"), pynn.Dense(10)], seed=0
)
model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=0.05), metrics=["accuracy"])
model.fit(X, y, epochs=5, batch_size=10)
stages.append(("and ReLU and softmax cross-entropy, in pynn", model.evaluate(Xt, yt)["accuracy"]))
for name, reached in stages:
    print(f"{name:45} accuracy {reached:.3f}")

# %%
# The right formula alone makes things worse: the squared error's true gradient vanishes in units that are saturated,
# and N(0, 1) saturates them. One fault hid another, which is why changing one thing at a time by hand found none.
# ``pynn.repair`` tries the cures in turn and returns the trained network with a list of changes:

result = pynn.repair(asked("sigmoid"), X, Y, epochs=1, batch_size=10)
print(result)
print("accuracy", result.model.evaluate(Xt, Yt)["accuracy"])
