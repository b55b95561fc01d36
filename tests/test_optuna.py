"""Searches with Optuna: trials are pruned, and those that run away do not end the study."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import pynn

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.ERROR)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4))
y = (X[:, 0] > X[:, 1]).astype(int)


def fitted(trial, rate=0.01, epochs=6, **options):
    model = pynn.Sequential([pynn.Dense(8, activation="relu"), pynn.Dense(2)], seed=0)
    model.compile("softmax_cross_entropy", pynn.Adam(learning_rate=rate), ["accuracy"])
    callback = pynn.OptunaPruning(trial, **options)
    return model.fit(X, y, epochs=epochs, validation_data=(X, y), callbacks=[callback])


def test_a_trial_that_falls_behind_is_pruned_and_its_epochs_are_reported():
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.5, n_warmup_steps=2))
    rates = iter([0.05, 1e-6])
    study.optimize(lambda trial: min(fitted(trial, next(rates))["val_loss"]), n_trials=2)
    good, bad = study.trials
    assert good.state.name == "COMPLETE"
    assert len(good.intermediate_values) == 6
    assert bad.state.name == "PRUNED"
    assert list(bad.intermediate_values) == [0, 1, 2]


def test_the_direction_of_the_study_is_that_of_the_value():
    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: fitted(trial, monitor="val_accuracy")["val_accuracy"][-1], n_trials=1)
    assert study.best_value > 0.5
    with pytest.raises(ValueError, match="a study that is to minimize 'val_loss'; received direction='maximize'"):
        study.optimize(fitted, n_trials=1)


def test_the_example_prunes_and_outlives_trials_that_run_away(capsys):
    example = Path(__file__).parent.parent / "examples" / "optuna_search.py"
    runpy.run_path(str(example))["main"](14)
    out = capsys.readouterr().out
    assert "complete: " in out
    assert "pruned: " in out
    assert "fail: " in out
    assert "best: val_loss 0." in out
