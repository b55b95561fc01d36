"""scikit-learn's own tests of its networks, with the import changed: docs/sklearn.md lists what differs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.neural_network

THEIRS = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
DIFFERENT = {
    "test_gradient",  # calls a private method, `_loss_grad_lbfgs`
    "test_preserve_feature_names",  # makes errors of warnings; a y of one class is warned about
}


@pytest.mark.skipif(not THEIRS.exists(), reason="scikit-learn was installed without its tests")
def test_all_pass_but_those_that_are_listed(tmp_path):
    source = THEIRS.read_text()
    changed = source.replace("from sklearn.neural_network import", "from pynn.sklearn import")
    assert changed != source
    (tmp_path / "test_theirs.py").write_text(changed)
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef global_random_seed():\n    return 42\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "test_theirs.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=600,
    )  # fmt: skip
    failed = set(re.findall(r"^FAILED \S+::(\w+)", run.stdout, re.M))
    assert failed == DIFFERENT, run.stdout
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) >= 50
    page = (Path(__file__).parent.parent / "docs" / "sklearn.md").read_text()
    assert all(f"`{name}`" in page for name in DIFFERENT)
