"""`fit(..., communicator=)` under MPICH and Open MPI, from the wheels of the test extra: mpi_worker.py in 1, 2 and 4
processes.

Both are installed side by side: each launcher is called by the name that is its own, and mpi4py is told the library.
With PYNN_TESTS_NEED_MPI set, as .ci/run does, a missing implementation fails instead of being skipped.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKER = Path(__file__).parent / "mpi_worker.py"
PREFIX = Path(sys.prefix)
SECONDS = 200  # for a run; far more than any takes, so that a hang ends

MPI = {
    "mpich": ("lib/libmpi.so.12", ["bin/mpiexec.hydra"]),
    "openmpi": ("lib/libmpi.so.40", ["bin/prterun", "--personality", "ompi", "--map-by", ":OVERSUBSCRIBE"]),
}
# As root, and where it was unpacked: Open MPI asks for both.
AS_ROOT = {f"{name}_ALLOW_RUN_AS_ROOT{confirm}": "1" for name in ("OMPI", "PRTE") for confirm in ("", "_CONFIRM")}
PLACES = {f"{name}_PREFIX": str(PREFIX) for name in ("OPAL", "PRTE", "PMIX")}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs mpiexec of a Unix")


def need(name):
    """Skip, or in CI fail, without an implementation of MPI."""
    library, launcher = MPI[name]
    missing = [path for path in (library, launcher[0]) if not (PREFIX / path).exists()]
    try:
        import mpi4py  # noqa: F401
    except ImportError:
        missing.append("mpi4py")
    if missing and os.environ.get("PYNN_TESTS_NEED_MPI"):
        pytest.fail(f"expected {name} from the test extra; {', '.join(missing)} is missing in {PREFIX}")
    if missing:
        pytest.skip(f"needs {name} and mpi4py from the test extra")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PRTE_", "PMIX_"))}
    return kept | AS_ROOT | PLACES | {"PYNN_NUM_THREADS": "1"} | more


def launch(name, processes, case, folder):
    """Run a case under mpiexec; returns the finished launcher, in bounded time."""
    library, launcher = MPI[name]
    command = [str(PREFIX / launcher[0]), *launcher[1:], "-n", str(processes)]
    command += [sys.executable, str(WORKER), case, str(folder)]
    return subprocess.run(
        command, env=environment(MPI4PY_LIBMPI=str(PREFIX / library)), capture_output=True, text=True, timeout=SECONDS,
        stdin=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip


def results(name, processes, case, folder):
    """What every process of a case found."""
    need(name)
    done = launch(name, processes, case, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((folder / f"{case}.{rank}.json").read_text()) for rank in range(processes)], done.stderr


def alone(case, folder):
    """What one process finds without MPI."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(WORKER), case, str(folder), "alone"]
    subprocess.run(command, env=environment(), check=True, timeout=SECONDS, capture_output=True)
    return json.loads((folder / f"{case}.0.json").read_text())


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return alone("bits", tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("name", MPI)
def test_any_number_of_processes_ends_with_the_bits_of_one(name, processes, reference, tmp_path):
    found, said = results(name, processes, "bits", tmp_path)
    for one in found:
        assert {run for run in reference if one[run] != reference[run]} == set()
    assert said.count("TrainingWarning: ") <= 2  # of the runs that were skipped and rolled back; from one process


@pytest.fixture(scope="module", params=MPI)
def told(request, tmp_path_factory):
    """The cases at fault, of two processes."""
    return results(request.param, 2, "faults", tmp_path_factory.mktemp("faults"))[0]


def test_a_fault_is_blamed_alike_in_every_process(told):
    for case, row in {"a cell that is not finite": 301, "a label": 401}.items():
        assert told[0][case] == told[1][case]
        assert told[0][case][1] == row
        assert str(row) in told[0][case][2]


@pytest.mark.parametrize(
    ("case", "says"),
    {
        "shards": "shards=12",
        "fewer shards": "shards=1",
        "other shards": "the same shards",
        "seeds": "the same seed",
        "models": "the same model",
        "data": "the same data",
        "no rows": "at least one row",
        "a row in a batch": "batches of 1",
        "lbfgs": "LBFGS",
        "repair": "repair",
        "weights of one": "the same weights",
        "a callback": "the disk is full",
    }.items(),
)
def test_bad_input_is_an_error_in_every_process(told, case, says):
    for one in told:
        assert one[case] is not None
        assert says in one[case][2]


def test_what_one_process_raises_ends_the_others(told):
    assert [one["a callback"][0] for one in told] == ["ProcessError", "OSError"]
    assert [one["no rows"][0] for one in told] == ["ShapeError", "ProcessError"]
    assert [one["validation"][0] for one in told] == ["NumericalError", "ProcessError"]
    assert told[0]["validation"][1] == 7


def test_ctrl_c_in_one_process_ends_all_after_the_same_step(told):
    assert [one["ctrl-c"] for one in told] == [["KeyboardInterrupt", True, 3]] * 2
    assert [one["went on"] for one in told] == [told[0]["still"]] * 2


def test_a_run_ends_when_one_process_stops_it_and_files_are_written_once(told):
    for one in told:
        assert one["stopped by one"] == 1
        assert one["lines"] == 3  # a header and two epochs


def test_the_processes_go_on_after_all_that(told, reference):
    assert [one["still"] for one in told] == [told[0]["still"]] * 2


@pytest.mark.parametrize("name", MPI)
def test_a_killed_process_ends_the_run_which_fewer_resume_with_the_same_bits(name, tmp_path):
    need(name)
    whole = alone("resumed", tmp_path / "whole")
    begin = time.monotonic()
    done = launch(name, 4, "killed", tmp_path)
    assert done.returncode != 0
    assert time.monotonic() - begin < SECONDS
    assert not list(tmp_path.glob("killed.*.json"))
    found, _ = results(name, 2, "resumed", tmp_path)
    assert found == [whole, whole]
