"""Write the samples beside this file. Run once, with version 0.1.0: later versions must read what it wrote."""

import gzip
import pickle
import warnings
from pathlib import Path

import numpy as np

import pynn

HERE = Path(__file__).parent


def data():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def compiled():
    rate = pynn.schedules.Warmup(pynn.schedules.CosineDecay(1e-2, 30), 3)
    hidden = pynn.Dense(
        4, activation="relu", kernel_regularizer=pynn.regularizers.L2(1e-4), kernel_constraint="max_norm"
    )
    model = pynn.Sequential([pynn.Normalization(), hidden, pynn.Dropout(0.1), pynn.Dense(2)], seed=1)
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=rate), metrics=["accuracy"])
    return model


def train(model, epochs, **options):
    x, y = data()
    callbacks = [pynn.EarlyStopping(patience=9)]
    return model.fit(
        x, y, epochs=epochs, batch_size=16, validation_data=(x, y), verbose=0, callbacks=callbacks, **options
    )


def report():
    x, _ = data()
    model = pynn.Sequential([pynn.Dense(2)], seed=0)
    model.compile("mse", pynn.SGD(1e30))
    try:
        model.fit(x, x[:, :2], epochs=5, verbose=0)
    except pynn.NumericalError as error:
        return error.report
    raise SystemExit("expected a refused step")


def main():
    assert pynn.__version__ == "0.1.0"
    warnings.simplefilter("ignore")
    model = compiled()
    history = train(model, 2, checkpoint=HERE / "run.ckpt")
    (HERE / "run.ckpt.gz").write_bytes(gzip.compress((HERE / "run.ckpt").read_bytes()))
    model.save(HERE / "model.safetensors")
    (HERE / "model.pickle").write_bytes(pickle.dumps(model, 4))
    whole = compiled()
    train(whole, 4)
    x, y = data()
    np.savez(HERE / "arrays.npz", predictions=model.predict(x), whole=np.array(whole.parameters))
    found = report()
    objects = {
        "history": history, "report": found, "finding": found.findings[0], "step": model.train_step(x[:4], y[:4]),
        "rates": pynn.find_learning_rate(model, x, y, steps=10),
        "errors": [pynn.ShapeError("a"), pynn.plots.MissingDependencyError("b")],
        "callbacks": [
            pynn.EarlyStopping(patience=2), pynn.ModelCheckpoint("a"), pynn.ReduceLROnPlateau(), pynn.EMA(), pynn.SWA(),
            pynn.CSVLogger("a"), pynn.JSONLogger("a"), pynn.TensorBoard(), pynn.Callback(),
        ],
        "options": [pynn.Guard("skip"), pynn.Checkpoint("a", keep=2), pynn.LBFGS(max_iter=7)],
        "specs": [
            pynn.Adam(), pynn.losses.get("huber"), pynn.activations.get("leaky_relu"), pynn.regularizers.L2(),
            pynn.initializers.get("he_normal"), pynn.constraints.get("max_norm"), pynn.schedules.CosineDecay(0.1, 10),
            pynn.schedules.PiecewiseConstantDecay([2], [0.1, 0.01]), pynn.metrics.TopKAccuracy(2),
        ],
        "layers": [pynn.Dense(3), pynn.Residual([pynn.Dense(3)]), pynn.Categorical(columns=[0], sizes=[3])],
    }  # fmt: skip
    (HERE / "objects.pickle").write_bytes(pickle.dumps({k: pickle.dumps(v, 4) for k, v in objects.items()}, 4))


if __name__ == "__main__":
    main()
