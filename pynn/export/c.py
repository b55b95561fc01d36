"""One network as one self-contained C99 header: constant weights, no allocation, no library."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, activations, arrays, losses
from ..errors import ArgumentTypeError, ArgumentValueError, UnsupportedError
from . import amalgamate
from .quantize import quantize

if TYPE_CHECKING:
    from ..model import Sequential

_LINKAGES = ("static", "extern")
_WEIGHTS = ("float32", "int8")
_TEST_ROWS = 2


@dataclass(frozen=True)
class Exported:
    """What `export_c` wrote, and what it costs.

    Attributes
    ----------
    path : str
    name : str
        Prefix of every name in the header.
    flash_bytes : int
        Constants, without code and without the self-test's vectors.
    scratch_bytes : int
        Working memory of a prediction, on the stack or the caller's.
    max_error : float or None
        Largest difference to the model's own predictions over the rows of `calibration`.
    agreement : float or None
        Share of those rows whose largest output is the same one.
    """

    path: str
    name: str
    flash_bytes: int
    scratch_bytes: int
    max_error: float | None = None
    agreement: float | None = None


def export_c(
    model: Sequential,
    path: Any,
    *,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    weights: str = "float32",
    calibration: Any = None,
    linkage: str = "static",
) -> Exported:
    """Write the model as one C99 header that needs nothing but a compiler.

    Parameters
    ----------
    path : path of the header
    name : str, optional
        Prefix of its names; the file's name by default.
    labels : sequence of str, optional
        Names of the classes, for ``<name>_label``.
    weights : "float32" or "int8"
        int8 takes a quarter of the memory, with one scale for each unit.
    calibration : array-like of shape (rows, inputs), optional
        Typical rows: what rounding to int8 costs is measured on them and written into the header.
    linkage : "static" or "extern"
        static: everything is in every file that includes the header. extern: declarations, and the definitions in the
        one file that defines ``<NAME>_IMPLEMENTATION`` before including it.

    Returns
    -------
    Exported

    Examples
    --------
    >>> import numpy as np, pynn
    >>> model = pynn.Sequential([pynn.Dense(8, activation="tanh"), pynn.Dense(3)])
    >>> _ = model.build(4)
    >>> model.export_c("net.h", labels=["a", "b", "c"]).flash_bytes
    268
    """
    path = os.fspath(path)
    for argument, value, known in (("weights", weights, _WEIGHTS), ("linkage", linkage, _LINKAGES)):
        if value not in known:
            raise ArgumentValueError(f"expected {argument} as one of {known}; received {argument}={value!r}")
    network = _Network(model, _identifier(name, path), weights == "int8")
    rows = None if calibration is None else arrays.as_matrix(calibration, "calibration", model.inputs)
    if rows is not None and len(rows) == 0:
        raise ArgumentValueError("expected calibration with at least one row; received none")
    network.add_layers(rows)
    network.add_labels(labels)
    exported = _measured(model, network, rows, path)
    text = _header(network, exported, linkage)
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="ascii")
    os.replace(temporary, path)
    return exported


def _identifier(name: Any, path: str) -> str:
    given = re.sub(r"\W", "_", Path(path).name.split(".")[0], flags=re.A) if name is None else name
    if not isinstance(given, str):
        raise ArgumentTypeError(f"expected name as a string; received name={name!r}")
    if not re.fullmatch(r"[A-Za-z]\w*", given, re.A) or keyword.iskeyword(given) or given in ("float", "int", "main"):
        raise ArgumentValueError(f"expected name as a C identifier; received name={given!r}: pass another name=")
    return given


def _float(x: Any) -> str:
    text = str(np.float32(x))
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def _wrapped(items: Sequence[str], per_line: int) -> str:
    lines = (", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line))
    return ",\n  ".join(lines)


def _text(label: str) -> str:
    """A C string; what is not plain ASCII is written as octal UTF-8."""
    bytes_ = label.encode("utf-8")
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in bytes_) + '"'


class _Network:
    """The pieces of a header: constants, the functions needed, and the calls that make a prediction."""

    def __init__(self, model: Sequential, prefix: str, int8: bool) -> None:
        self.core = model.core
        self.prefix, self.int8 = f"{prefix}_", int8
        self.name, self.inputs, self.outputs = prefix, model.inputs, model.outputs
        self.parameters = np.array(model.parameters, np.float32)
        if not np.isfinite(self.parameters).all():
            raise ArgumentValueError("expected a model with finite parameters; received NaN or infinity among them")
        self.exact = self.parameters.copy()  # what the header's weights stand for: int8 ones differ
        self.constants: list[str] = []
        self.flash_bytes = 0
        self.scalars: list[str] = []  # functions from the library's kernels
        self.helpers: set[str] = set()  # of _HELPERS
        self.calls: list[str] = []
        self.labels: list[str] = []
        self.widths: list[int] = []  # of the values between layers
        self.link: tuple[str, list[float]] | None = None

    # ---- constants

    def constant(self, kind: str, name: str, values: np.ndarray, size: int) -> str:
        full = f"{self.prefix}{name}"
        flat = values.ravel().tolist() if kind == "int8_t" else values.ravel()
        items = [str(v) for v in flat] if kind == "int8_t" else [_float(v) for v in flat]
        body = _wrapped(items, 24 if kind == "int8_t" else 8)
        self.constants.append(f"{self.macro('CONSTANT')} {kind} {full}[{values.size}] = {{\n  {body}}};\n")
        self.flash_bytes += size * values.size
        return full

    def macro(self, name: str) -> str:
        return f"{self.prefix}{name}".upper()

    # ---- layers

    def tensors(self, layer: int) -> dict[str, tuple[int, int, int]]:
        return {part: place for part, index, *place in self.core.tensors if index == layer}  # type: ignore[misc]

    def add_layers(self, rows: np.ndarray | None) -> None:
        specs = self.core.layers
        loss = self.core.loss
        link = None if loss is None else losses.get({"name": loss[0], **loss[1]}).row["link"]
        seen = None if rows is None else np.asarray(rows, np.float64)
        last_dense = max(i for i, (kind, *_) in enumerate(specs) if kind[0] == "dense")
        for index, ((kind, _), activation, *_rest) in enumerate(specs):
            add = getattr(self, f"_add_{kind}", None)
            if add is None:
                raise UnsupportedError(
                    f"expected layers that can be exported; received layer {index}, {kind!r}: save the model and load "
                    "it with the C library instead"
                )
            add(index, seen)
            if activation is not None and not (index == last_dense and activation[0] == link):
                self._activate(activation)
        if link is not None and link != "linear":
            self.link = (link, [])
            self._need_activation(link)

    def _add_dense(self, index: int, _rows: np.ndarray | None) -> None:
        place = self.tensors(index)
        offset, inputs, units = place["kernel"]
        kernel = self.parameters[offset : offset + inputs * units].reshape(inputs, units)
        bias = "0"
        if self.int8:
            matrix, scales = quantize(kernel.astype(np.float64), np.ones(inputs))
            self.exact[offset : offset + inputs * units] = (matrix * scales).ravel()
            self.helpers.add("dense_int8")
            weights = self.constant("int8_t", f"kernel_{index}", matrix, 1)
            weights += ", " + self.constant("float", f"scale_{index}", scales, 4)
        else:
            self.helpers.add("dense")
            weights = self.constant("float", f"kernel_{index}", kernel, 4)
        if "bias" in place:
            start = place["bias"][0]
            bias = self.constant("float", f"bias_{index}", self.parameters[start : start + units], 4)
        function = f"{self.prefix}dense_int8" if self.int8 else f"{self.prefix}dense"
        self.calls.append(f"{function}({{in}}, {inputs}, {units}, {weights}, {bias}, {{out}});")
        self.widths.append(units)

    def _add_dropout(self, _index: int, _rows: np.ndarray | None) -> None:
        pass  # predictions pass by

    def _need_activation(self, name: str) -> str:
        row = activations.table.rows[name]
        scalar = f"{name}_value"
        if amalgamate.has_function(scalar):
            self.scalars.append(scalar)
        elif name == "softmax":
            self.scalars.append("row_exp")
            self.helpers.add("softmax")
        elif name != "linear":
            raise UnsupportedError(f"expected an activation that can be exported; received {row['name']!r}")
        return scalar

    def _activate(self, activation: tuple[str, Any]) -> None:
        name, numbers = activation
        self._need_activation(name)
        call = self.activation_call(name, list(numbers.values()), "{out}", self.widths[-1])
        if call:
            self.calls.append(call)

    def activation_call(self, name: str, numbers: list[float], y: str, n: int) -> str:
        if name == "linear":
            return ""
        if name == "softmax":
            return f"{self.prefix}softmax({n}, {y});"
        a = _float(numbers[0]) if numbers else "0"
        return f"for (size_t i = 0; i < {n}; i++) {y}[i] = {self.prefix}{name}_value({y}[i], {a});"

    # ---- labels

    def add_labels(self, labels: Sequence[str] | None) -> None:
        if labels is None:
            return
        if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
            raise ArgumentTypeError(f"expected labels as a sequence of strings; received labels={labels!r}")
        classes = self.outputs if self.outputs > 1 else 2
        if len(labels) != classes:
            raise ArgumentValueError(f"expected {classes} labels, one for each class; received {len(labels)}")
        self.labels = list(labels)

    # ---- memory

    def buffers(self) -> tuple[int, int]:
        """Floats of the two buffers between which hidden layers alternate; the last layer writes to the output."""
        hidden = self.widths[:-1]
        return max(hidden[0::2], default=0), max(hidden[1::2], default=0)

    def statements(self) -> list[str]:
        """The calls with their buffers: x, then scratch halves in turn, then y."""
        first, _ = self.buffers()
        places = [f"scratch + {first}" if i % 2 and first else "scratch" for i in range(len(self.widths) - 1)] + ["y"]
        out, at = [], -1
        for call in self.calls:
            if "{in}" in call:
                at += 1
                source = "x" if at == 0 else places[at - 1]
                out.append(call.replace("{in}", source).replace("{out}", places[at]))
            else:
                place = places[at]
                out.append(call.replace("{out}", f"({place})" if "+" in place and "[i]" in call else place))
        return out


def _measured(model: Sequential, network: _Network, rows: np.ndarray | None, path: str) -> Exported:
    cost = (path, network.name, network.flash_bytes, 4 * sum(network.buffers()))
    if rows is None:
        return Exported(*cost)
    expected = model.predict(rows)
    found = _reference(network).predict(rows.astype(np.float32), np.empty(expected.shape, np.float32))
    same = expected.argmax(1) == found.argmax(1) if network.outputs > 1 else (expected > 0.5) == (found > 0.5)
    return Exported(*cost, float(np.abs(found.astype(np.float64) - expected).max()), float(np.mean(same)))


def _reference(network: _Network) -> _core.Model:
    """A float32 model with the weights as the header holds them."""
    core = _core.Model(_core.Context(cpu="baseline", threads=1), network.inputs, network.core.layers)
    np.asarray(core.parameters)[...] = network.exact
    if network.core.loss is not None:
        core.set_loss(network.core.loss)
    return core


# ---- the text

_HELPERS = {
    "dense": """
/* y = x W + b: each sum one chain in the order of the inputs. W (inputs x units) is row-major; b may be 0. */
static inline void P_dense(const float *x, size_t inputs, size_t units, const float *w, const float *b, float *y) {
  for (size_t j = 0; j < units; j++) y[j] = 0;
  for (size_t i = 0; i < inputs; i++, w += units)
    for (size_t j = 0; j < units; j++) y[j] = P_fma_(x[i], w[j], y[j]);
  for (size_t j = 0; b && j < units; j++) y[j] += b[j];
}
""",
    "dense_int8": """
/* y = (x W) * scale + b, W of 8-bit integers (inputs x units, row-major), one scale for each unit. */
static inline void P_dense_int8(const float *x, size_t inputs, size_t units, const int8_t *w, const float *scale,
                                const float *b, float *y) {
  for (size_t j = 0; j < units; j++) y[j] = 0;
  for (size_t i = 0; i < inputs; i++, w += units)
    for (size_t j = 0; j < units; j++) y[j] = P_fma_(x[i], (float)w[j], y[j]);
  for (size_t j = 0; j < units; j++) y[j] = b ? y[j] * scale[j] + b[j] : y[j] * scale[j];
}
""",
    "softmax": """
static inline void P_softmax(size_t n, float *y) {
  float largest = y[0];
  for (size_t i = 1; i < n; i++) largest = y[i] > largest ? y[i] : largest;
  const double inverse = 1 / P_row_exp(n, y, largest, y);
  for (size_t i = 0; i < n; i++) y[i] = (float)((double)y[i] * inverse);
}
""",
}

_PRELUDE = """
/* a*b + c in one rounding where the processor does that, in two elsewhere: as the library's own kernels do. */
#ifndef N_FMA
#  if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
#    define N_FMA 1
#  else
#    define N_FMA 0
#  endif
#endif
#define P_FMA_BUILTIN N_FMA
static inline float P_fma_(float a, float b, float c) {
#if N_FMA
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
"""


def _header(network: _Network, exported: Exported, linkage: str) -> str:
    static = linkage == "static"
    own = "static inline" if static else "extern"
    parts = [_opening(network, exported, static), *_declarations(network, "static inline" if static else "")]
    if not static:
        parts.append("#ifdef N_IMPLEMENTATION\n")
    parts.append(_PRELUDE)
    if network.scalars:
        parts.append(amalgamate.extract(sorted(set(network.scalars)), network.prefix) + "\n")
    parts += [_HELPERS[helper] for helper in sorted(network.helpers)]
    parts += ["\n/* ---- weights */\n\n", *network.constants]
    parts += _definitions(network, "static inline " if own == "static inline" else "")
    parts.append(_self_test(network, "static inline " if static else ""))
    if not static:
        parts.append("\n#endif /* N_IMPLEMENTATION */\n")
    parts.append('\n#ifdef __cplusplus\n} /* extern "C" */\n#endif\n\n#endif\n')
    text = "".join(parts)
    return re.sub(r"\bN_", f"{network.prefix}".upper(), re.sub(r"\bP_", network.prefix, text))


def _opening(network: _Network, exported: Exported, static: bool) -> str:
    shape = " -> ".join(str(width) for width in [network.inputs, *network.widths])
    measured = ""
    if exported.max_error is not None:
        measured = (
            f" * Against the model's own predictions, on the rows given: largest difference {exported.max_error:.3g}, "
            f"same class in\n * {100 * (exported.agreement or 0):.2f} % of them.\n"
        )
    use = (
        " * Include it wherever it is needed."
        if static
        else " * Include it wherever it is needed; in one C file, define N_IMPLEMENTATION before."
    )
    weights = "8-bit" if network.int8 else "float32"
    return f"""/* {network.name}: a trained network, {shape}, written by pynn {_core.__version__}.
 *
 * Self-contained C99 and C++: {exported.flash_bytes:,} bytes of {weights} weights, {exported.scratch_bytes:,} bytes of
 * working memory. No allocation, no library, no state: any number of threads may predict.
{measured}{use}
 * Compiled with -ffp-contract=off it gives the bits that pynn's predict gives on a processor with (N_FMA 1) or without
 * (N_FMA 0) fused multiply-add; subnormal numbers aside, which pynn takes as zero.
 */
#ifndef N_H
#define N_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define N_INPUTS {network.inputs}
#define N_OUTPUTS {network.outputs}
#define N_SCRATCH {max(1, sum(network.buffers()))} /* floats of working memory */
#ifndef N_CONSTANT
#  define N_CONSTANT static const /* of the weights: a section attribute, for instance */
#endif

#ifdef __cplusplus
extern "C" {{
#endif

"""


def _declarations(network: _Network, own: str) -> list[str]:
    own = f"{own} " if own else ""
    lines = [
        "/* The prediction y (N_OUTPUTS) for x (N_INPUTS); raw: before the output function. `scratch` holds N_SCRATCH\n"
        " * floats. x, y and scratch do not overlap. */\n",
        f"{own}void P_predict(const float *x, float *y);\n",
        f"{own}void P_predict_in(const float *x, float *y, float *scratch);\n",
        f"{own}void P_raw_in(const float *x, float *y, float *scratch);\n",
    ]
    if _classifies(network):
        lines.append(
            f"/* The likeliest class of x, 0 ... {_classes(network) - 1}. */\n{own}int P_classify(const float *x);\n"
        )
    if network.labels:
        lines.append(
            f'/* The name of a class, "" for a number that is none. */\n{own}const char *P_label(int class_);\n'
        )
    lines.append("#ifndef N_NO_SELF_TEST\n")
    lines.append("/* Predicts stored rows; returns how many outputs are not what they were when this was written. */\n")
    lines.append(f"{own}int P_self_test(void);\n#endif\n\n")
    return lines


def _classes(network: _Network) -> int:
    return network.outputs if network.outputs > 1 else 2


def _classifies(network: _Network) -> bool:
    return network.outputs > 1 or bool(network.labels) or (network.link is not None and network.link[0] == "sigmoid")


def _definitions(network: _Network, own: str) -> list[str]:
    body = "".join(f"  {statement}\n" for statement in network.statements())
    unused = "" if sum(network.buffers()) else "  (void)scratch;\n"
    link = ""
    if network.link is not None:
        link = f"  {network.activation_call(*network.link, 'y', network.outputs)}\n"
    out = [
        f"\n{own}void P_raw_in(const float *x, float *y, float *scratch) {{\n{unused}{body}}}\n",
        f"\n{own}void P_predict_in(const float *x, float *y, float *scratch) {{\n"
        f"  P_raw_in(x, y, scratch);\n{link}}}\n",
        f"\n{own}void P_predict(const float *x, float *y) {{\n  float scratch[N_SCRATCH];\n"
        "  P_predict_in(x, y, scratch);\n}\n",
    ]
    if _classifies(network):
        threshold = "0" if network.link is not None and network.link[0] == "sigmoid" else "0.5f"
        best = (
            "  int best = 0;\n  for (int i = 1; i < N_OUTPUTS; i++) best = y[i] > y[best] ? i : best;\n  return best;\n"
            if network.outputs > 1
            else f"  return y[0] > {threshold};\n"
        )
        out.append(
            f"\n{own}int P_classify(const float *x) {{\n  float scratch[N_SCRATCH], y[N_OUTPUTS];\n"
            f"  P_raw_in(x, y, scratch);\n{best}}}\n"
        )
    if network.labels:
        names = _wrapped([_text(label) for label in network.labels], 6)
        out.append(
            f"\n{own}const char *P_label(int class_) {{\n  static const char *const labels[] = {{{names}}};\n"
            f'  return class_ >= 0 && class_ < {len(network.labels)} ? labels[class_] : "";\n}}\n'
        )
    return out


def _self_test(network: _Network, own: str) -> str:
    x = np.random.default_rng(0).normal(size=(_TEST_ROWS, network.inputs)).astype(np.float32)
    x = np.round(x, 2)  # short in the source
    y = _reference(network).predict(x, np.empty((_TEST_ROWS, network.outputs), np.float32))
    return f"""
#ifndef N_NO_SELF_TEST
{own}int P_self_test(void) {{
  N_CONSTANT float x[{x.size}] = {{
  {_wrapped([_float(v) for v in x.ravel()], 16)}}};
  N_CONSTANT float expected[{y.size}] = {{
  {_wrapped([_float(v) for v in y.ravel()], 8)}}};
  float scratch[N_SCRATCH], y[N_OUTPUTS];
  int wrong = 0;
  for (int row = 0; row < {_TEST_ROWS}; row++) {{
    const float *e = expected + row * N_OUTPUTS;
    float largest = 0;
    for (int i = 0; i < N_OUTPUTS; i++) largest = e[i] > largest ? e[i] : -e[i] > largest ? -e[i] : largest;
    P_predict_in(x + row * N_INPUTS, y, scratch);
    for (int i = 0; i < N_OUTPUTS; i++) {{
      const float away = y[i] > e[i] ? y[i] - e[i] : e[i] - y[i];
      wrong += !(away <= 1e-4f * largest);
    }}
  }}
  return wrong;
}}
#endif
"""
