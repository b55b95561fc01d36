"""How much flash and RAM does a network take on a microcontroller? 784-64-10, ReLU and softmax, for a Cortex-M4.

    python benchmarks/footprint.py [--cpu cortex-m4]

Compiles the header of `export_c`, in float32 and int8, and emlearn's, where it is installed, by arm-none-eabi-gcc -Os.
Flash is code and constants, with what is needed of the compiler's own library; RAM is static data and the deepest stack
frame of the prediction.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pynn

MAIN = """
%s
volatile int sink;
float x[784];
void predict(void);
void predict(void) { sink = %s; }
int main(void) { predict(); return 0; }
void _exit(int status);
void _exit(int status) { (void)status; for (;;) {} }
"""


def measure(name: str, include: str, call: str, folder: Path, cpu: str) -> tuple[str, int, int]:
    """(name, bytes of flash, bytes of RAM), less an empty program's."""
    found = []
    for header, expression in ((include, call), ("", "(int)x[sink & 1]")):
        source = folder / "main.c"
        source.write_text(MAIN % (header, expression))
        flags = [f"-mcpu={cpu}", "-mthumb", "-Os", "-std=c99", "-ffunction-sections", "-Wl,--gc-sections"]
        flags += ["-fstack-usage", "--specs=nosys.specs", "-Wl,--no-warn-rwx-segments", f"-I{folder}"]
        if cpu == "cortex-m4":
            flags += ["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
        if importlib.util.find_spec("emlearn") is not None:
            import emlearn

            flags.append(f"-I{emlearn.includedir}")
        command = ["arm-none-eabi-gcc", *flags, "main.c", "-o", "main.elf", "-lm"]
        subprocess.run(command, check=True, cwd=folder, stderr=subprocess.DEVNULL)
        sizes = subprocess.run(["arm-none-eabi-size", "main.elf"], cwd=folder, capture_output=True, text=True).stdout
        text, data, bss = map(int, sizes.splitlines()[1].split()[:3])
        stacks = [int(n) for path in folder.glob("*.su") for n in re.findall(r"\t(\d+)\t", path.read_text())]
        found.append((text + data, data + bss + max(stacks)))
    return name, found[0][0] - found[1][0], found[0][1] - found[1][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", default="cortex-m4")
    cpu = parser.parse_args().cpu
    (x, y), (xt, yt) = pynn.datasets.digits()
    model = pynn.Sequential([pynn.Dense(64, activation="relu"), pynn.Dense(10)], seed=0)
    model.compile(loss="softmax_cross_entropy", metrics=["accuracy"])
    model.fit(x, y, epochs=3)
    folder = Path(tempfile.mkdtemp())
    rows = []
    try:
        for weights in ("float32", "int8"):
            exported = model.export_c(folder / f"{weights}.h", name="net", weights=weights, calibration=xt)
            include = f'#define NET_NO_SELF_TEST\n#include "{weights}.h"'
            rows.append((*measure(f"pynn, {weights}", include, "net_classify(x)", folder, cpu), exported))
        if importlib.util.find_spec("emlearn") is not None:
            import emlearn
            from latency import peer_mlp

            converted = emlearn.convert(peer_mlp(model), method="inline", dtype="float")
            converted.save(file=str(folder / "peer.h"), name="peer")
            include = '#include <stdint.h>\n#include "peer.h"'
            rows.append((*measure("emlearn, float", include, "peer_predict(x, 784)", folder, cpu), None))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    accuracy = model.evaluate(xt, yt)["accuracy"]
    print(
        f"{'784-64-10, ' + cpu:20} {'flash':>9} {'RAM':>7}   same class as predict (which is right for {accuracy:.1%})"
    )
    for name, flash, ram, exported in rows:
        agreement = "" if exported is None else f"{exported.agreement:.2%}, outputs within {exported.max_error:.2g}"
        print(f"{name:20} {flash:9,} {ram:7,}   {agreement}")


if __name__ == "__main__":
    main()
