"""Builds `pynn._core`: the C library in csrc/ and the Cython module that exposes it, in one extension.

The same objects also make the static library that the package carries for C programs, with pynn.h and the files by
which CMake and pkg-config find them (docs/embedding.md).

The kernels are compiled once for each processor target, with that target's flags, and chosen between at run time;
everything else once. All other metadata is in pyproject.toml.

The module uses the stable ABI of Python 3.11, so one wheel for each platform serves every later version; it costs 0.2
microseconds a call. Free-threaded builds have no stable ABI and get a module of their own.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from glob import glob
from itertools import takewhile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMMON = ["-std=c11", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
COMMON += ["-fvisibility=hidden", "-fno-asynchronous-unwind-tables"]
# A program that links the archive drops the sections that it does not call. What no step goes through is made small.
LIBRARY = ["-ffunction-sections", "-fdata-sections"]
COLD = ["adapt", "arena", "blame", "checkpoint", "checksum", "custom_set", "disk", "initializers", "json", "layout"]
COLD += ["loss_link", "measure", "memory", "model", "model_file", "rates", "replay", "safetensors", "schedules"]
COLD += ["schema", "status", "summary"]
# What makes GCC's -O3 fast here, vector code and inlining, without the copies of loops that make it large: the same
# times for four fifths of the bytes (docs/architecture.md). Other compilers know no such flags and take -O3.
LEAN = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-finline-functions"]
LEAN += ["--param=max-inline-insns-single=200", "--param=max-inline-insns-auto=30"]
LEAN += ["--param=early-inlining-insns=14", "--param=inline-min-speedup=15"]
LEAN += ["-falign-functions=1", "-falign-jumps=1", "-falign-loops=1"]
WARNINGS = ["-Wall", "-Wextra"]
TARGETS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32":
    TARGETS["avx2"] = ["-mavx2", "-mfma"]
    TARGETS["avx512"] = [f"-mavx512{part}" for part in ("f", "bw", "dq", "vl")] + ["-mfma", "-mprefer-vector-width=512"]
KERNELS = [f"csrc/src/kernels/{name}.c" for name in ("kernels_f32", "kernels_f64", "normals")]
HEADERS = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/src/**/*.template.c", recursive=True))
EXPORTED = [
    "csrc/src/base/real.h",
    "csrc/src/base/numerics.h",
    "csrc/src/kernels/activations.template.c",
]  # by exports
STABLE_ABI = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
DEFINES = [("_GNU_SOURCE", "1")] + [("PYNN_HAVE_X86_TARGETS", "1")] * ("avx2" in TARGETS)


SOURCES = sorted(
    source
    for source in glob("csrc/src/**/*.c", recursive=True)
    if source not in [*KERNELS, "csrc/src/compute/serial.c"] and not source.endswith(".template.c")
)


class BuildWithTargets(build_ext):
    """Compiles the library's files, and the kernels once for each target, before the module that links them."""

    def run(self) -> None:
        super().run()
        package = Path("pynn") if self.inplace or self.editable_mode else Path(self.build_lib) / "pynn"
        self.lay_out_library(package)

    def build_extension(self, ext: Extension) -> None:
        ext.extra_objects = self.compile_library()
        if sys.platform.startswith("linux"):  # of its functions the module shows one, and keeps those that it calls
            shown = Path(self.build_temp) / "module.map"
            shown.write_text("{ global: PyInit__core; local: *; };\n", encoding="utf-8")
            ext.extra_link_args += ["-Wl,-s", "-Wl,--gc-sections", f"-Wl,--version-script={shown}"]
        super().build_extension(ext)

    def compile_library(self) -> list[str]:
        cold = [source for source in SOURCES if Path(source).stem in COLD]
        objects = self.compile_c("library", [s for s in SOURCES if s not in cold], ["-O2", *LIBRARY])
        objects += self.compile_c("cold", cold, ["-Os", *LIBRARY])
        lean = LEAN if self.accepts(LEAN) else ["-O3"]
        for target, flags in TARGETS.items():
            objects += self.compile_c(f"kernels-{target}", KERNELS, lean + flags)
        return objects

    def compiler_command(self) -> list[str]:
        """The compiler without its flags; several words when it is cached."""
        return list(takewhile(lambda part: not part.startswith("-"), self.compiler.compiler_so))

    def accepts(self, flags: list[str]) -> bool:
        if self.compiler.compiler_type != "unix":
            return False
        command = [*self.compiler_command(), *flags, "-x", "c", "-c", os.devnull, "-o", os.devnull]
        return subprocess.run(command, capture_output=True).returncode == 0

    def lay_out_library(self, package: Path) -> None:
        """The package as an installation prefix: include/pynn.h, lib/libpynn.a, lib/cmake, lib/pkgconfig."""
        library = self.compiler.library_filename("pynn")
        values = {"version": version(), "library": library, "pc_prefix": "${pcfiledir}/../.."}
        values |= {"pc_libdir": "lib", "pc_includedir": "include", "pc_libraries": "-pthread -lm"}
        configured = {
            **{source: f"files/export_c/source/{Path(source).name}" for source in EXPORTED},
            "csrc/include/pynn.h": "include/pynn.h",
            "csrc/pynn.pc.in": "lib/pkgconfig/pynn.pc",
            "csrc/cmake/pynnConfig.wheel.cmake.in": "lib/cmake/pynn/pynnConfig.cmake",
            "csrc/cmake/pynnConfigVersion.wheel.cmake.in": "lib/cmake/pynn/pynnConfigVersion.cmake",
        }
        for source, destination in configured.items():
            text = Path(source).read_text(encoding="utf-8")
            for name, value in values.items():
                text = text.replace(f"@{name}@", value)
            write_if_new(package / destination, text)
        objects = self.with_local_names(self.compile_library())
        (package / "lib" / library).unlink(missing_ok=True)  # an archiver would add to it
        self.compiler.create_static_lib(objects, "pynn", output_dir=str(package / "lib"))

    def with_local_names(self, objects: list[str]) -> list[str]:
        """One object whose inner names are local, so that none can meet a name of the program that links it."""
        if not sys.platform.startswith("linux") or shutil.which("objcopy") is None:
            return objects
        joined = str(Path(self.build_temp) / "pynn_all.o")
        subprocess.run([*self.compiler_command(), "-r", "-nostdlib", "-o", joined, *objects], check=True)
        subprocess.run(["objcopy", "--localize-hidden", "--strip-unneeded", joined], check=True)
        return [joined]

    def compile_c(self, name: str, sources: list[str], flags: list[str]) -> list[str]:
        """Objects of `sources` in a directory of their own; those newer than all they depend on are kept."""
        folder = Path(self.build_temp) / name
        newest_header = max(map(os.path.getmtime, [*HEADERS, __file__]))
        objects = [str(folder / Path(source).with_suffix(".o")) for source in sources]
        for source, target in zip(sources, objects, strict=True):
            inputs = max(os.path.getmtime(source), newest_header)
            if self.force or not os.path.exists(target) or os.path.getmtime(target) < inputs:
                self.compiler.compile(
                    [source],
                    output_dir=str(folder),
                    macros=DEFINES,
                    include_dirs=["csrc/include", "csrc/src"],
                    extra_postargs=COMMON + WARNINGS + flags,
                )
        return objects


def write_if_new(path: Path, text: str) -> None:
    """A file that did not change keeps its time, and what was built from it stays."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def version() -> str:
    """The version's single source is the public header."""
    return re.search(r'#define PYNN_VERSION "(.+)"', Path("csrc/include/pynn.h").read_text())[1]  # type: ignore[index]


core = Extension(
    "pynn._core",
    ["pynn/_core.pyx"],
    include_dirs=["csrc/include", "csrc/src"],
    depends=[*HEADERS, *SOURCES, *KERNELS, *glob("pynn/*.px[di]")],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] * STABLE_ABI,
    py_limited_api=STABLE_ABI,
    extra_compile_args=["-Os", "-g0", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables"],
    extra_link_args=["-pthread"],
    libraries=["m"],
)

# An editable install puts the checkout on the path: Cython looks for pynn.pxd there, and a directory called pynn
# does not come before it.
OPTIONS = {"editable_wheel": {"mode": "compat"}}
if STABLE_ABI:
    OPTIONS["bdist_wheel"] = {"py_limited_api": "cp311"}

setup(
    version=version(),
    ext_modules=[core],
    cmdclass={"build_ext": BuildWithTargets},
    options=OPTIONS,
)
