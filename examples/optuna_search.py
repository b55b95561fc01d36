"""Search for a network with Optuna: trials that fall behind are pruned, those that run away are stopped by the guard.

pip install 'pynn-dense[optuna]'
python examples/optuna_search.py
"""

import sys

import optuna

import pynn

(X, y), (X_test, y_test) = pynn.datasets.digits()
X, X_valid, y, y_valid = pynn.train_test_split(X[:2000], y[:2000], test_size=0.25, seed=0, stratify=True)


def objective(trial: optuna.Trial) -> float:
    units = trial.suggest_int("units", 16, 256, log=True)
    rate = trial.suggest_float("learning_rate", 1e-4, 1e3, log=True)  # most of the upper half diverges
    activation = trial.suggest_categorical("activation", ["relu", "tanh", "mish"])
    model = pynn.Sequential([pynn.Dense(units, activation=activation), pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", pynn.SGD(learning_rate=rate, momentum=0.9), ["accuracy"])
    history = model.fit(
        X, y, epochs=8, batch_size=64, validation_data=(X_valid, y_valid), callbacks=[pynn.OptunaPruning(trial)],
        verbose=0,
    )  # fmt: skip
    return min(history["val_loss"])


def main(trials: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a trial that fails is a warning with a traceback
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.MedianPruner(3))
    study.optimize(objective, n_trials=trials, catch=pynn.NumericalError)
    for state in optuna.trial.TrialState:
        count = len(study.get_trials(states=[state]))
        if count:
            print(f"{state.name.lower()}: {count}")
    print(f"best: val_loss {study.best_value:.4f} with {study.best_params}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
