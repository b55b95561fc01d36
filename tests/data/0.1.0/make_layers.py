"""Write layers.safetensors and layers.npz beside this file: every kind of layer. Run once, with version 0.1.0."""

from pathlib import Path

import numpy as np

import pynn

HERE = Path(__file__).parent

rng = np.random.default_rng(0)
x = np.column_stack([rng.normal(size=(64, 3)), rng.integers(0, 3, 64)]).astype(np.float32)
y = x[:, :1] * 2 + 100
layers = [
    pynn.Categorical(columns=[3], sizes=[3], dimension=2),
    pynn.Normalization(),
    pynn.Residual([pynn.Dense(5, activation="tanh", kernel_regularizer="l2")]),
    pynn.BatchNormalization(),
    pynn.Dropout(0.1),
    pynn.GaussianNoise(0.01),
    pynn.Dense(4, activation="leaky_relu", kernel_constraint="max_norm", bias_initializer="ones"),
    pynn.LayerNormalization(),
    pynn.Activation("gelu"),
    pynn.Dense(1),
]
model = pynn.Sequential(layers, seed=3)
model.compile(loss="mse", optimizer=pynn.Adam(1e-2), target_scaling="standard")
model.fit(x, y, epochs=2, batch_size=16, verbose=0)
model.save(HERE / "layers.safetensors")
np.savez(HERE / "layers.npz", x=x, predictions=model.predict(x))
