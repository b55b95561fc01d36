"""pynn: dense neural networks on the CPU, fast, exact, and never silently wrong."""

import importlib as _importlib
import sys as _sys
from importlib.machinery import PathFinder as _PathFinder

from .names import MovedModules as _MovedModules

# Public name -> module that has it. Modules are imported when a name is first used, so that `import pynn` is quick.
_HOME = {
    "callbacks": [
        "EMA", "SWA", "CSVLogger", "Callback", "EarlyStopping", "JSONLogger", "LambdaCallback", "LearningRateScheduler",
        "ModelCheckpoint", "OptunaPruning", "ReduceLROnPlateau", "TensorBoard",
    ],
    "training.checkpoint": ["Checkpoint"],
    "data": ["DataLoader", "train_test_split"],
    "embedding": ["get_cmake_dir", "get_include", "get_library_dir", "get_pkgconfig_dir"],
    "errors": [
        "ArgumentTypeError", "ArgumentValueError", "DtypeError", "FileError", "FileFormatError", "LabelError",
        "MissingDependencyError", "MissingFileError", "NonfiniteDataError", "NotReadyError", "NumericalError",
        "OutOfMemoryError", "ProcessError", "PynnError", "ShapeError", "ThreadError", "TooLargeError",
        "TrainingWarning", "UnknownNameError", "UnsupportedError",
    ],
    "report": ["Finding", "Guard", "History", "LayerHealth", "Report", "StepResult"],
    "layers": [
        "Activation", "Add", "BatchNormalization", "Bidirectional", "Categorical", "Dense", "Dropout", "Flatten", "GRU",
        "GaussianNoise", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Input", "LSTM", "LayerNormalization",
        "Masking", "Normalization", "Residual", "SimpleRNN",
    ],
    "metrics": ["Metric"],
    "lbfgs": ["LBFGS"],
    "files.foreign": ["from_sklearn", "from_torch"],
    "files.load": ["load"],
    "files.from_onnx": ["from_onnx"],
    "model": ["Sequential"],
    "tools.diagnose": ["diagnose"],
    "diagnosis.label_errors": ["Suspicion"],
    "tools.label_errors": ["find_label_errors"],
    "tools.open_set": ["OpenSet"],
    "tools.repair": ["repair"],
    "tools.gradients": ["GradientCheck", "TensorCheck", "check_gradients"],
    "network.trace": ["Trace", "TracedLayer"],
    "training.repair": ["Repair", "RepairChange"],
    "tools.rates": ["LearningRateTest", "find_learning_rate"],
    "runtime": ["get_num_threads", "set_num_threads"],
}  # fmt: skip
_MODULES = ["activations", "arrays", "blas", "callbacks", "constraints", "data", "datasets", "errors",
            "initializers", "layers", "losses", "metrics", "optimizers", "plots", "regularizers", "runtime",
            "schedules", "sklearn"]  # fmt: skip
_WHERE = {name: module for module, names in _HOME.items() for name in names}


def _optimizers() -> list[str]:
    from . import optimizers

    return list(optimizers.table.class_names)


def _elsewhere(name: str) -> str:
    """Return where a module has a class of this name, or the nearest name there is."""
    if not name[:1].isupper():  # the import system asks for our modules, too
        return ""
    from .checks import nearest

    modules = ("activations", "losses", "initializers", "schedules", "regularizers", "constraints", "metrics")
    homes = {thing: module for module in modules for thing in dir(_importlib.import_module(f".{module}", __name__))}
    if name in homes:
        return f"; there is pynn.{homes[name]}.{name}"
    return nearest(name, [*_WHERE, *_optimizers(), *homes])


def __getattr__(name: str) -> object:
    if name in _WHERE:
        value = getattr(_importlib.import_module(f".{_WHERE[name]}", __name__), name)
    elif name in _MODULES:
        return _importlib.import_module(f".{name}", __name__)
    elif name == "__version__":
        from ._core import __version__ as value
    elif name == "__all__":
        value = [*_WHERE, *_MODULES, *_optimizers()]
    elif name[:1].isupper() and name in _optimizers():  # a class; the import system asks for our modules here too
        from . import optimizers

        value = getattr(optimizers, name)
    else:
        raise AttributeError(f"module 'pynn' has no attribute {name!r}{_elsewhere(name)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_MODULES, *_optimizers(), "__version__"})


if _PathFinder.find_spec(f"{__name__}._core", __path__) is None:
    raise ImportError(
        f"expected a built package; received the sources in {__path__[0]!r}, without their compiled core: build them "
        f"with `pip install -e {__path__[0].removesuffix('pynn')}`, or import an installed pynn from another directory"
    )
_sys.meta_path.append(_MovedModules)  # type: ignore[arg-type]
