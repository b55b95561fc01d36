"""What version 0.1.0 wrote still loads: pickles, model files and checkpoints, whatever modules moved since."""

import gzip
import importlib
import importlib.util
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.names import MOVED

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore::pynn.TrainingWarning")

OLD = Path(__file__).parent / "data" / "0.1.0"
OBJECTS = pickle.loads((OLD / "objects.pickle").read_bytes())


@pytest.fixture(scope="module")
def make():
    """The script that wrote the samples."""
    spec = importlib.util.spec_from_file_location("make_samples", OLD / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def arrays():
    with np.load(OLD / "arrays.npz") as stored:
        return dict(stored)


@pytest.fixture
def run(tmp_path):
    """The checkpoint of a run of two epochs."""
    path = tmp_path / "run.ckpt"
    path.write_bytes(gzip.decompress((OLD / "run.ckpt.gz").read_bytes()))
    return path


def test_a_file_of_0_1_0_with_every_kind_of_layer_predicts_as_it_did(tmp_path):
    model = pynn.load(OLD / "layers.safetensors")
    with np.load(OLD / "layers.npz") as stored:
        np.testing.assert_allclose(model.predict(stored["x"]), stored["predictions"], rtol=1e-5)
    model.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (OLD / "layers.safetensors").read_bytes()


@pytest.mark.parametrize("how", ["pickle", "file", "checkpoint"])
def test_a_model_of_0_1_0_predicts_as_it_did(how, make, arrays, run):
    load = {
        "pickle": lambda: pickle.loads((OLD / "model.pickle").read_bytes()),
        "file": lambda: pynn.load(OLD / "model.safetensors"),
        "checkpoint": lambda: pynn.load(run),
    }[how]
    x, y = make.data()
    model = load()
    np.testing.assert_allclose(model.predict(x), arrays["predictions"], rtol=1e-5, atol=1e-6)
    if how != "checkpoint":
        assert model.optimizer == make.compiled().optimizer
    else:
        model.compile("softmax_cross_entropy")
    model.fit(x, y, epochs=1, verbose=0)


def test_a_run_of_0_1_0_is_resumed_to_the_end_it_would_have_had(make, arrays, run):
    model = make.compiled()
    history = make.train(model, 4, checkpoint=run, resume=True)
    assert len(history.epochs) == 4
    np.testing.assert_allclose(model.parameters, arrays["whole"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_of_0_1_0_is_unpickled_and_pickled_again(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # nobody is told off for an old file
        found = pickle.loads(OBJECTS[name])
    for thing in found if isinstance(found, list) else [found]:
        home = sys.modules[type(thing).__module__]
        assert getattr(home, type(thing).__name__) is type(thing)
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is type(found)
    if name in ("options", "layers", "finding", "step"):
        assert repr(again) == repr(found)


def test_what_was_in_the_objects(make):
    options = [pynn.Guard("skip"), pynn.Checkpoint("a", keep=2), pynn.LBFGS(max_iter=7)]
    assert pickle.loads(OBJECTS["options"]) == options
    assert pickle.loads(OBJECTS["layers"])[0] == pynn.Dense(3)
    assert pickle.loads(OBJECTS["finding"]).code == "learning_rate_too_high"
    assert len(pickle.loads(OBJECTS["history"]).epochs) == 2


@pytest.mark.parametrize("name", MOVED)
def test_a_module_that_moved_is_found_by_its_old_name(name, python):
    code = f"""
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import pynn.{name} as old
import pynn.{MOVED[name]} as new
public = next(n for n in dir(new) if not n.startswith("_"))
print(getattr(old, public) is getattr(new, public), [str(w.message)[:40] for w in said])
"""
    assert python(code) == f"True ['{f'pynn.{name} is now pynn.{MOVED[name]}; the old name'[:40]}']"


def public_classes():
    found = []
    homes = {"pynn": pynn} | {f"pynn.{m}": importlib.import_module(f"pynn.{m}") for m in pynn._MODULES}
    for module, home in homes.items():
        for name in getattr(home, "__all__", []):
            if isinstance(getattr(home, name), type):
                found.append((f"{module}.{name}", getattr(home, name), homes))
    return found


@pytest.mark.parametrize(("name", "cls", "homes"), public_classes(), ids=lambda v: v if isinstance(v, str) else "")
def test_a_public_class_names_the_module_where_users_find_it(name, cls, homes):
    """A class may move between files only because of this."""
    assert cls.__module__ in homes, f"add @public to {name}, or list its package in names.public"
    assert getattr(homes[cls.__module__], cls.__name__) is cls
