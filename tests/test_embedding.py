"""The C library outside Python: installed, as part of another project, out of the package, from Cython."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pynn

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
DOCUMENT = ROOT / "docs" / "embedding.md"
STRICT = ["-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]

needs_sources = pytest.mark.skipif(not (ROOT / "csrc").exists(), reason="needs the sources")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
pytestmark = [needs_sources, needs_cc]


def run(command, cwd=None, **environment):
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ | environment, timeout=600)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A trained model with its file, and rows with what Python predicts for them."""
    folder = tmp_path_factory.mktemp("digits")
    (x, y), (xt, _) = pynn.datasets.digits()
    model = pynn.Sequential([pynn.Dense(16, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile(loss="softmax_cross_entropy", optimizer="adam")
    model.fit(x, y, batch_size=64)
    model.save(folder / "digits.safetensors")
    xt[:40].tofile(folder / "rows.f32")
    return model, folder, xt[:40]


@pytest.fixture
def installed(tmp_path):
    """Require an install that a fresh interpreter finds by its path, as Cython does."""
    code = "import os, sys; print(any(os.path.exists(os.path.join(p, 'pynn', '__init__.pxd')) for p in sys.path))"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    if found.stdout.strip() != "True":
        pytest.skip("pynn is not on the path of a fresh interpreter: pip install -e . again")


def test_an_editable_install_is_on_the_path():
    """Not found by a hook: Cython would not find pynn.pxd, and a directory called pynn would come before it."""
    assert '"editable_wheel": {"mode": "compat"}' in (ROOT / "setup.py").read_text()


# ---- the document, block by block


def blocks():
    return re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)


@needs_cmake
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="needs pkg-config")
def test_every_block_of_the_document_works(digits, tmp_path, installed):
    pytest.importorskip("Cython")
    model, files, x = digits
    for name in ("digits.safetensors", "rows.f32"):
        shutil.copy(files / name, tmp_path)
    (tmp_path / "pynn").symlink_to(ROOT)
    (tmp_path / "python").symlink_to(sys.executable)
    expected = model.predict(x)
    # `python` is this one; compilers may be cached
    environment = {
        "HOME": str(tmp_path / "home"),
        "CFLAGS": "-O0",
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "CCACHE_DIR": os.environ.get("CCACHE_DIR", os.path.expanduser("~/.cache/ccache")),
        "CMAKE_C_COMPILER_LAUNCHER": "ccache" if shutil.which("ccache") else "",
    }
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    ran = 0
    for language, text in blocks():
        if language == "bash":
            (tmp_path / "predictions.f32").unlink(missing_ok=True)
            out = run(["bash", "-euc", text], tmp_path, **environment)
            if "predictions.f32" in text:
                found = np.fromfile(tmp_path / "predictions.f32", np.float32).reshape(-1, 10)
                assert np.array_equal(found, expected), text
                ran += 1
            if "classify <" in text:
                assert out.split() == [str(i) for i in expected.argmax(1)]
                ran += 1
        else:
            path = tmp_path / re.match(r"(?:/\*|#) ([\w/.]+)", text)[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    assert ran == 6
    # built from the tree that is installed, which may be moved
    moved = tmp_path / "moved"
    (tmp_path / "home" / ".local").rename(moved)
    run(["cmake", "-S", ".", "-B", "out-moved", f"-DCMAKE_PREFIX_PATH={moved}"], tmp_path)
    run(["cmake", "--build", "out-moved"], tmp_path)
    flags = run(["pkg-config", "--cflags", "--libs", "pynn"], PKG_CONFIG_PATH=str(moved / "lib" / "pkgconfig")).split()
    assert all(str(moved) in os.path.abspath(flag[2:]) for flag in flags[:2])
    check_symbols(moved / "lib")
    check_versions(moved, tmp_path)


def check_symbols(lib):
    """Both libraries give out what pynn.h declares and nothing else; the shared one has its soname."""
    declared = set(re.findall(r"PYNN_API [^;]*?\b(pynn_\w+)\(", (ROOT / "csrc/include/pynn.h").read_text()))
    for arguments in (["-D", lib / "libpynn.so"], ["-g", lib / "libpynn.a"]):
        listed = run(["nm", "--defined-only", *map(str, arguments)])
        assert {line.split()[-1] for line in listed.splitlines() if " " in line} == declared
    assert "libpynn.so.1" in run(["readelf", "-d", str(lib / "libpynn.so")])


def check_versions(prefix, folder):
    """CMake takes the same minor version and refuses others."""
    major, minor, patch = (int(part) for part in re.match(r"(\d+)\.(\d+)\.(\d+)", pynn.__version__).groups())
    for wanted, fits in (
        (f"{major}.{minor}", True),
        (f"{major}.{minor}.{patch + 1}", False),
        (f"{major}.{minor + 1}", False),
    ):
        for package in (f"-DCMAKE_PREFIX_PATH={prefix}", f"-Dpynn_DIR={pynn.get_cmake_dir()}"):
            (folder / "v").mkdir(exist_ok=True)
            (folder / "v" / "CMakeLists.txt").write_text(
                f"cmake_minimum_required(VERSION 3.18)\nproject(v C)\nfind_package(pynn {wanted} REQUIRED)\n"
                "if(NOT TARGET pynn::pynn OR NOT TARGET pynn::pynn_static)\n  message(FATAL_ERROR none)\nendif()\n"
            )
            shutil.rmtree(folder / "vb", ignore_errors=True)
            result = subprocess.run(["cmake", "-S", "v", "-B", "vb", package], cwd=folder, capture_output=True)
            assert (result.returncode == 0) == fits, (wanted, package, result.stderr)


def test_the_documents_program_is_the_example():
    (program,) = (text for language, text in blocks() if text.startswith("/* predict.c */"))
    assert program == "/* predict.c */\n" + (EXAMPLES / "predict.c").read_text()
    body = re.search(r"int main.*?\{\n(.*)^\}", program, re.M | re.S)[1]
    assert len(body.splitlines()) <= 15


@needs_cmake
def test_as_a_subproject_without_threads_it_leaves_no_trace(tmp_path):
    """No thread library is needed, no test or installation is added, and the project's flags stay its own."""
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(outer C CXX)\nenable_testing()\n"
        f"add_subdirectory({ROOT / 'csrc'} pynn EXCLUDE_FROM_ALL)\n"
        "add_executable(main main.cpp)\ntarget_link_libraries(main PRIVATE pynn::pynn_static)\n"
        "get_target_property(options main COMPILE_OPTIONS)\nget_directory_property(all COMPILE_OPTIONS)\n"
        'if(options OR all OR CMAKE_BUILD_TYPE)\n  message(FATAL_ERROR "leaked: ${options} ${all}")\nendif()\n'
        "install(TARGETS main)\n"
    )
    (tmp_path / "main.cpp").write_text(
        "#include <pynn.h>\nint main() {\n  pynn_context *context = nullptr;\n  pynn_context_options options;\n"
        "  pynn_context_options_init(&options);\n  options.threads = 8;\n"
        "  if (pynn_context_new(&context, &options)) return 1;\n  int threads = pynn_context_threads(context);\n"
        "  pynn_context_free(context);\n  return threads != 1;\n}\n"
    )
    launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    options = ["-DPYNN_THREADS=OFF", "-DPYNN_BLAS=OFF", "-DCMAKE_CXX_STANDARD=17", *launcher]
    run(["cmake", "-S", ".", "-B", "build", *options, f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'prefix'}"], tmp_path)
    run(["cmake", "--build", "build", "--target", "main", "--parallel", "2"], tmp_path)
    run([str(tmp_path / "build" / "main")])
    assert "No tests" in subprocess.run(
        ["ctest", "--test-dir", "build"], cwd=tmp_path, capture_output=True, text=True
    ).stderr + run(["ctest", "--test-dir", "build"], tmp_path)
    run(["cmake", "--install", "build"], tmp_path)
    installed = [path.name for path in (tmp_path / "prefix").rglob("*") if path.is_file()]
    assert installed == ["main"]
    undefined = run(["nm", "-u", str(tmp_path / "build" / "pynn" / "libpynn.a")])
    assert "pthread" not in undefined


# ---- out of the package


def test_what_the_package_says_is_there():
    include, library = Path(pynn.get_include()), Path(pynn.get_library_dir())
    assert (include / "pynn.h").read_text() == (ROOT / "csrc/include/pynn.h").read_text()
    assert list(library.glob("*pynn.*"))
    assert (Path(pynn.get_cmake_dir()) / "pynnConfig.cmake").exists()
    assert (Path(pynn.get_pkgconfig_dir()) / "pynn.pc").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="local names are made on Linux")
def test_the_packages_library_gives_out_its_own_names_only():
    declared = set(re.findall(r"PYNN_API [^;]*?\b(pynn_\w+)\(", (ROOT / "csrc/include/pynn.h").read_text()))
    listed = run(["nm", "-g", "--defined-only", str(Path(pynn.get_library_dir()) / "libpynn.a")])
    assert {line.split()[-1] for line in listed.splitlines() if " " in line} == declared


def test_an_environment_that_was_moved_still_works(digits, tmp_path):
    """The package's files alone, at another place with a space in its name: flags are those of the new place."""
    _, files, x = digits
    package = tmp_path / "a place" / "pynn"
    skipped = shutil.ignore_patterns("__pycache__", "data")
    shutil.copytree(Path(pynn.__file__).parent, package, ignore=skipped)
    environment = {"PYTHONPATH": os.pathsep.join([str(package.parent), *filter(None, sys.path)])}
    flags = run([sys.executable, "-m", "pynn", "--cflags", "--libs"], cwd=tmp_path / "a place", **environment)
    assert flags.startswith(f"-I'{package}/include' -L'{package}/lib'")
    program = tmp_path / "predict"
    run(["bash", "-c", f"cc {EXAMPLES / 'predict.c'} -o {program} {flags}"])
    with open(files / "rows.f32", "rb") as rows:
        out = subprocess.run([str(program), files / "digits.safetensors"], stdin=rows, capture_output=True, check=True)
    assert np.array_equal(np.frombuffer(out.stdout, np.float32).reshape(-1, 10), digits[0].predict(x))
    package.rename(package.with_name("gone"))


def test_a_package_without_the_library_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("pynn.embedding._PACKAGE", tmp_path)
    for get in (pynn.get_include, pynn.get_library_dir, pynn.get_cmake_dir, pynn.get_pkgconfig_dir):
        with pytest.raises(FileNotFoundError, match="expected the C library in the package"):
            get()


def test_a_cython_package_builds_against_the_installed_one(digits, tmp_path, installed):
    pytest.importorskip("Cython")
    model, _, x = digits
    shutil.copytree(EXAMPLES / "cython_package", tmp_path / "sample")
    environment = {"PYTHONPATH": str(tmp_path / "sample" / "src")}
    environment["CFLAGS"] = "-O0"
    run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], tmp_path / "sample", **environment)
    np.save(tmp_path / "x.npy", x)
    model.save(tmp_path / "m.safetensors")
    code = (
        "import numpy as np, pynn, threading\nfrom pynn_sample import Scorer\n"
        "model, x = pynn.load('m.safetensors'), np.load('x.npy')\n"
        "expected = [int((model.predict(x)[:, j] > 0.5).sum()) for j in range(10)]\n"
        "found = {}\n"
        "def work(j):\n    found[j] = Scorer(model).count_above(x, j, 0.5)\n"
        "threads = [threading.Thread(target=work, args=(j,)) for j in range(10)]\n"
        "[t.start() for t in threads]\n[t.join() for t in threads]\n"
        "assert [found[j] for j in range(10)] == expected and sum(expected) > 20, (found, expected)\n"
        "for bad in ((x[:, :5].copy(), 0), (x, 10)):\n"
        "    try: Scorer(model).count_above(*bad, 0.5)\n"
        "    except ValueError: pass\n"
        "    else: raise AssertionError(bad)\n"
    )
    run([sys.executable, "-c", code], tmp_path, **environment)


# ---- examples


def compiled(name, folder, *more):
    """An example, linked with the package's own library."""
    source = EXAMPLES / name
    compiler = ["c++", "-std=c++17"] if source.suffix == ".cpp" else ["cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L"]
    program = folder / source.stem
    libraries = [f"-L{pynn.get_library_dir()}", "-lpynn", "-lm", "-pthread"]
    run([*compiler, *STRICT, f"-I{pynn.get_include()}", str(source), "-o", str(program), *more, *libraries])
    return program


def test_training_in_c_reaches_the_bits_of_python(tmp_path):
    """And what C saved loads in Python and trains on there, as what Python saved does in C."""
    data = Path(pynn.datasets.__file__).parent / "data"
    files = []
    for name in ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1"):
        files.append(tmp_path / name)
        files[-1].write_bytes(gzip.decompress((data / f"{name}-ubyte.gz").read_bytes()))
    program = compiled("train_digits.c", tmp_path)
    out = run([str(program), *map(str, files), str(tmp_path / "c.safetensors"), "2"])

    (x, y), (xt, yt) = pynn.datasets.digits()
    model = pynn.Sequential([pynn.Dense(128, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile(loss="softmax_cross_entropy", optimizer=pynn.Adam(learning_rate=1e-3), metrics=["accuracy"])
    history = model.fit(x, y, epochs=2, batch_size=64)
    from_c = pynn.load(tmp_path / "c.safetensors")
    assert np.array_equal(from_c.parameters, model.parameters)
    last = re.findall(r"loss ([\d.]+)  test accuracy ([\d.]+)", out)[1]
    assert float(last[0]) == pytest.approx(history[1]["loss"], abs=1e-6)
    assert float(last[1]) == pytest.approx(model.evaluate(xt, yt)["accuracy"], abs=1e-4)
    assert float(last[1]) > 0.9

    before = from_c.evaluate(x, y)["loss"]
    from_c.compile(loss="softmax_cross_entropy", optimizer="adam")
    from_c.fit(x, y, batch_size=64)
    assert from_c.evaluate(x, y)["loss"] < before
    broken = subprocess.run([str(program), *map(str, files[::-1]), "x"], capture_output=True, text=True)
    assert broken.returncode == 1
    assert "expected IDX files" in broken.stderr


def test_what_python_saved_trains_on_in_c(digits, tmp_path):
    """The same steps on the loaded model, in C and in Python, end with the same bits."""
    model, files, _ = digits
    (x, y), _ = pynn.datasets.digits()
    x[:640].tofile(tmp_path / "x.f32")
    y[:640].tofile(tmp_path / "y.i64")
    (tmp_path / "on.c").write_text(
        "#include <pynn.h>\n#include <stdio.h>\nstatic float x[640 * 784];\nstatic int64_t y[640];\n"
        "int main(int argc, char **argv) {\n  pynn_context *context;\n  pynn_model *model;\n  pynn_trainer *trainer;\n"
        "  pynn_trainer_options how;\n  pynn_step step;\n"
        "  if (argc < 3 || pynn_context_new(&context, NULL) || pynn_load(&model, context, argv[1], NULL)) return 1;\n"
        '  FILE *xs = fopen("x.f32", "rb"), *ys = fopen("y.i64", "rb");\n'
        "  if (!xs || !ys || !fread(x, sizeof x, 1, xs) || !fread(y, sizeof y, 1, ys)) return 2;\n"
        "  fclose(xs), fclose(ys);\n  pynn_trainer_options_init(&how, model);\n"
        '  if (pynn_spec_named(&how.optimizer, PYNN_OPTIMIZER, "adam")) return 3;\n'
        "  if (pynn_trainer_new(&trainer, model, &how, NULL)) return 4;\n"
        "  const pynn_data data = {pynn_matrix(x, PYNN_FLOAT32, 640, 784), pynn_matrix(y, PYNN_INT64, 640, 1), {0}};\n"
        "  if (pynn_train_batches(trainer, &data, NULL, 0, 640, 32, 0, PYNN_FLOAT32, NULL, &step, NULL)) return 5;\n"
        "  if (pynn_save(model, argv[2], NULL, 0, NULL)) return 6;\n"
        "  pynn_trainer_free(trainer), pynn_model_free(model), pynn_context_free(context);\n  return 0;\n}\n"
    )
    libraries = [f"-L{pynn.get_library_dir()}", "-lpynn", "-lm", "-pthread"]
    run(["cc", "-std=c11", *STRICT, f"-I{pynn.get_include()}", "on.c", "-o", "on", *libraries], tmp_path)
    run(["./on", str(files / "digits.safetensors"), "c.safetensors"], tmp_path)
    on = pynn.load(files / "digits.safetensors")
    on.compile(loss="softmax_cross_entropy", optimizer="adam")
    on.fit(x[:640], y[:640], batch_size=32, shuffle=False)
    assert np.array_equal(pynn.load(tmp_path / "c.safetensors").parameters, on.parameters)
    assert not np.array_equal(on.parameters, model.parameters)


def test_the_cpp_wrapper(tmp_path):
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    out = run([str(compiled("spiral.cpp", tmp_path)), str(tmp_path / "spiral.safetensors")])
    assert int(re.search(r"(\d+) of 300 right", out)[1]) > 285
    assert "a wrong name throws: no activation" in out
    assert pynn.load(tmp_path / "spiral.safetensors").outputs == 3
    missing = subprocess.run([tmp_path / "spiral", tmp_path / "no" / "where"], capture_output=True, text=True)
    assert missing.returncode == 1
    assert missing.stderr


def test_the_server_answers_many_clients_at_once(digits, tmp_path):
    import socket
    import threading

    model, files, x = digits
    expected = model.predict(x)
    program = compiled("server.c", tmp_path)
    command = [str(program), str(files / "digits.safetensors"), "3"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())
    wrong = []

    def client(first):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            for i in (*range(first, len(x)), *range(first)):
                connection.sendall(x[i].tobytes())
                got = b""
                while len(got) < 40:
                    got += connection.recv(40 - len(got))
                if not np.array_equal(np.frombuffer(got, np.float32), expected[i]):
                    wrong.append(i)

    clients = [threading.Thread(target=client, args=(i,)) for i in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    server.communicate(timeout=60)
    assert server.returncode == 0
    assert not wrong


def test_learning_on_a_device(tmp_path):
    out = run([str(compiled("on_device.c", tmp_path))])
    new, old, stale = (float(n) for n in re.findall(r"(?:error|be) ([\d.]+)", out))
    assert new < 0.05
    assert old < 0.05 < stale / 4
    assert out.count("skipped at input") == 8
    assert out.count("rolled_back at update") == 4
    assert " 0 more while learning" in out


@pytest.mark.parametrize("seed", ["0", "2", "4"])
def test_a_controller_that_learns_to_balance_a_pole(tmp_path, seed):
    out = run([str(compiled("cart_pole.c", tmp_path)), seed])
    balanced, rounds, refused = re.search(r"for ([\d.]+) of .* after (\d+) rounds[^:]*: (\d+)", out, re.S).groups()
    assert float(balanced) >= 475
    assert int(refused) == (int(rounds) + 4) // 10  # each round with a reading that is NaN, and no other
    assert " 0 more while learning" in out


# ---- the header


def test_every_declaration_of_the_header_says_what_it_does():
    lines = (ROOT / "csrc/include/pynn.h").read_text().splitlines()
    functions = [i for i, line in enumerate(lines) if line.startswith("PYNN_API")]
    assert len(functions) > 80
    assert not [lines[i] for i in functions if not lines[i - 1].rstrip().endswith("*/")]


@pytest.mark.parametrize(
    ("compiler", "standard"), [("gcc", "c11"), ("clang", "c11"), ("g++", "c++17"), ("clang++", "c++17")]
)
def test_the_header_stands_alone_without_a_warning(compiler, standard, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    source = tmp_path / ("a.c" if standard == "c11" else "a.cpp")
    source.write_text("#include <pynn.h>\nint main(int n, char **v) { return n > 9 && **v == *pynn_version(); }\n")
    include = f"-I{ROOT / 'csrc' / 'include'}"
    run([compiler, f"-std={standard}", *STRICT, "-pedantic", include, "-fsyntax-only", str(source)])
