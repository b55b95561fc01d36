"""The code to write for each advice."""

from __future__ import annotations

from typing import Any

from ..advice import Advice

SCALE_X = "model = pynn.Sequential([pynn.Normalization(), ...])  # the layers that you have follow"
SLOWER = "model.compile(loss, pynn.{optimizer}(learning_rate={tenth:.1g}))"
CLIP = "model.compile(loss, pynn.{optimizer}(learning_rate={tenth:.1g}, global_clipnorm=1.0))"
FASTER = "model.compile(loss, pynn.{optimizer}(learning_rate={tenfold:.1g}))"
RATE = "model.compile(loss, pynn.{optimizer}(learning_rate={suggested_learning_rate:.1g}))"
FILL = 'model.fit(X, y, on_bad_rows="impute")  # or "skip": leave these rows out'
SCALE_Y = 'model.compile("mse", optimizer, target_scaling="standard")'
DEFAULT = 'pynn.Dense(units, activation="relu")  # without kernel_initializer'
DOUBLE = 'pynn.Sequential(layers, dtype="float64")'

CODE = {
    Advice.LEAVE_OUT: 'model.fit(X, y, on_bad_rows="skip")',
    Advice.FILL_IN: FILL,
    Advice.SKIP_OR_IMPUTE: FILL,
    Advice.NORMALIZE_MISSING: 'pynn.Sequential([pynn.Normalization(missing="mean"), ...])',
    Advice.DROP_EMPTY_COLUMNS: "X = np.delete(X, {columns}, axis=1)",
    Advice.SCALE_OR_FLOAT64: DOUBLE,
    Advice.RAISE_RATE_OR_FLOAT64: f"{FASTER}\n{DOUBLE}  # or",
    Advice.COUNT_FROM_ZERO: "model.fit(X, y - 1)",
    Advice.MORE_UNITS: "pynn.Dense({units_needed})  # as the last layer",
    Advice.CORRECT_LABELS: "suspicions = pynn.find_label_errors(model, X, y)",
    Advice.SCALE_OR_SLOWER: f"{SCALE_X}\n{SLOWER}",
    Advice.SCALE_BOTH_OR_SLOWER: f"{SCALE_X}\n{SCALE_Y}",
    Advice.SCALE_OR_SMALLER: f"{SCALE_X}\n{DEFAULT}",
    Advice.SLOWER_OR_CLIP: CLIP,
    Advice.LOOK_AT_ROW: "print(X[{row}])",
    Advice.NORMALIZE: SCALE_X,
    Advice.SCALE_TARGET: SCALE_Y,
    Advice.DIVIDE_WEIGHTS: "model.fit(X, y, sample_weight=weights / weights.mean())",
    Advice.DEFAULT_INITIALIZER: DEFAULT,
    Advice.LOWER_RATE: RATE,
    Advice.RAISE_RATE: RATE,
    Advice.FRESH_UNITS: 'pynn.Dense(units, activation="leaky_relu")  # without kernel_initializer',
    Advice.SMALLER_WEIGHTS: DEFAULT,
    Advice.LET_GRADIENTS_PASS: 'pynn.Residual([pynn.LayerNormalization(), pynn.Dense(units, activation="relu")])',
    Advice.CHECK_CASTS: 'X = images.astype("float32") / 255',
    Advice.LARGER_BATCHES: "model.fit(X, y, batch_size=64)",
    Advice.DROP_ACTIVATION: "pynn.Dense(units)  # as the last layer, without activation",
    Advice.SIGMOID_LOSS_OR_UNITS: 'model.compile("sigmoid_cross_entropy", optimizer)',
    Advice.SIGMOID_LOSS_OR_DIVIDE: "model.fit(X, y / y.sum(axis=1, keepdims=True))",
    Advice.NUMBER_METRICS: 'model.compile("mse", optimizer, metrics=["r2"])',
    Advice.MARK_MISSING: 'X[X == {value}] = np.nan\npynn.Sequential([pynn.Normalization(missing="mean"), ...])',
    Advice.DROP_COLUMNS: "X = np.delete(X, {columns}, axis=1)",
    Advice.CATEGORICAL_LAYER: "pynn.Sequential([pynn.Categorical({columns}), ...])",
    Advice.SHUFFLE: "model.fit(X, y)  # without shuffle=False",
    Advice.SHUFFLE_BEFORE_SPLIT: "X, X_valid, y, y_valid = pynn.train_test_split(X, y, seed=0)",
    Advice.SAME_UNITS: "model.fit(X / 255, y, validation_data=(X_valid / 255, y_valid))  # the same for both",
    Advice.CHECK_PAIRS: "order = np.random.permutation(len(X))\nX, y = X[order], y[order]  # both by the same order",
    Advice.FIND_LABEL_ERRORS: "rows = [one.row for one in pynn.find_label_errors(model, X, y)]",
    Advice.BALANCE: 'model.fit(X, y, class_weight="balanced")',
    Advice.LOWER_DROPOUT: "pynn.Dropout({suggested_rate:.2g})",
    Advice.ONE_SPELLING: "y = [label.strip() for label in y]",
    Advice.UNITS_FOR_CLASSES: "pynn.Dense({classes})  # as the last layer",
}


class Known(dict[str, Any]):
    """Numbers of a finding by name."""

    def __missing__(self, name: str) -> Any:
        raise LookupError(name)


def code(finding: Any, optimizer: str = "", learning_rate: float | None = None) -> str:
    """Return the lines that follow a finding's advice, or an empty text.

    `optimizer` is the name of the user's, and `learning_rate` its own.
    """
    rate = finding.evidence.get("learning_rate") or learning_rate or 1e-2
    known = Known(
        finding.evidence
        | {"columns": finding.columns, "layer": finding.layer, "optimizer": optimizer or "Adam"}
        | {"tenth": rate / 10, "tenfold": rate * 10}
    )
    found = []
    for advice in finding.advice:
        template = CODE.get(advice)
        if template is None:
            continue
        try:
            found.append(template.format_map(known))
        except (LookupError, TypeError, ValueError):  # a finding without these numbers has no code
            continue
    return "\n".join(found)
