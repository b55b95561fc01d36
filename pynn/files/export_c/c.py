"""One network as one self-contained C99 header: constant weights, no allocation, no library."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import _core, arrays, losses
from ...errors import ArgumentTypeError, ArgumentValueError, NotReadyError, UnsupportedError
from ...network.network import Network, assemble
from ...network.predict import predict
from . import amalgamate
from .quantize import quantize

_LINKAGES = ("static", "extern")
_WEIGHTS = ("float32", "int8")
_TEST_ROWS = 2
_SIZES = {"int8_t": 1, "int32_t": 4, "float": 4, "double": 8}


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
    trained: Network,
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
    network = _Network(trained, _identifier(name, path), weights == "int8")
    rows = None if calibration is None else arrays.as_matrix(calibration, "calibration", trained.inputs)
    if rows is not None and len(rows) == 0:
        raise ArgumentValueError("expected calibration with at least one row; received none")
    network.add_layers()
    network.add_labels(labels)
    exported = _measured(trained, network, rows, path)
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


def _double(x: Any) -> str:
    """NaN marks columns that are not a normalization's own."""
    return "NAN" if np.isnan(x) else repr(float(x))


def _wrapped(items: Sequence[str], per_line: int) -> str:
    lines = (", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line))
    return ",\n  ".join(lines)


def _text(label: str) -> str:
    """A C string; what is not plain ASCII is written as octal UTF-8."""
    bytes_ = label.encode("utf-8")
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in bytes_) + '"'


@dataclass
class _Value:
    """What a layer gives: so many floats from one call to another, in a place of the working memory."""

    size: int
    born: int
    last_use: int
    place: str = ""
    shares: _Value | None = None  # the value whose memory it takes over

    def root(self) -> _Value:
        return self if self.shares is None else self.shares.root()


class _Network:
    """The pieces of a header: constants, the functions needed, and the calls that make a prediction."""

    def __init__(self, trained: Network, prefix: str, int8: bool) -> None:
        self.core = trained.core
        self.prefix, self.int8 = f"{prefix}_", int8
        self.name, self.inputs, self.outputs = prefix, trained.inputs, self.core.outputs
        self.parameters = np.array(trained.parameters, np.float32)
        self.state = np.array(getattr(self.core, "state", ()), np.float64)
        if not np.isfinite(self.parameters).all():
            raise ArgumentValueError("expected a model with finite parameters; received NaN or infinity among them")
        self.exact = self.parameters.copy()  # what the header's weights stand for: int8 ones differ
        self.constants: list[str] = []
        self.flash_bytes = 0
        self.scalars: list[str] = []  # functions from the library's kernels
        self.helpers: set[str] = set()  # of _HELPERS
        self.values = [_Value(self.inputs, -1, -1, "x")]
        self.calls: list[tuple[str, list[_Value], _Value]] = []  # text, what it reads, what it writes
        self.after: list[_Value] = []  # for each layer so far, the value behind it
        self.labels: list[str] = []
        self.link: str | None = None
        self.ending: list[str] = []  # of predict, behind raw

    # ---- constants

    def constant(self, kind: str, name: str, values: np.ndarray) -> str:
        """The name of an array of int8_t, int32_t, float or double."""
        full = f"{self.prefix}{name}"
        write = {"float": _float, "double": _double}.get(kind, lambda v: str(int(v)))
        flat = np.asarray(values).ravel()
        body = _wrapped([write(v) for v in flat], 24 if kind == "int8_t" else 8)
        self.constants.append(f"{self.macro('CONSTANT')} {kind} {full}[{flat.size}] = {{\n  {body}}};\n")
        self.flash_bytes += _SIZES[kind] * flat.size
        return full

    def macro(self, name: str) -> str:
        return f"{self.prefix}{name}".upper()

    # ---- layers

    def tensors(self, layer: int) -> dict[str, np.ndarray]:
        """The parameters and the state of a layer by name."""
        listed: list[tuple[np.ndarray, list[Any]]] = [(self.parameters, list(self.core.tensors))]
        listed.append((self.state, getattr(self.core, "states", [])))
        return {
            name: vector[offset : offset + rows * columns].reshape(rows, columns)
            for vector, places in listed
            for name, index, offset, rows, columns in places
            if index == layer
        }

    def add_layers(self) -> None:
        specs: list[Any] = list(self.core.layers)
        loss = self.core.loss
        self.link = None if loss is None else str(losses.get({"name": loss[0], **loss[1]}).row["link"])
        for index, spec in enumerate(specs):
            kind, numbers = spec["kind"]
            add = getattr(self, f"_add_{kind}", None)
            if add is None:
                raise UnsupportedError(
                    f"expected layers that can be exported; received layer {index}, {kind!r}: save the model and load "
                    "it with the C library instead"
                )
            if "custom_activation" in spec:
                raise UnsupportedError(
                    f"expected activations that can be exported; received layer {index} with "
                    f"{spec['custom_activation']}, whose code pynn does not have: load the saved model with the C "
                    "library and give it the functions"
                )
            add(index, spec, numbers)
            activation = spec.get("activation")
            taken = index == len(specs) - 1 and kind == "dense" and activation and activation[0] == self.link
            if activation is not None and not taken:
                self._activate(activation)
            self.after.append(self.values[-1])
        if len(self.values) == 1:
            self.call(f"memcpy({{out}}, {{in}}, {self.inputs} * sizeof(float));", self.inputs)
        self._place()
        if self.link not in (None, "linear"):
            self._need_activation(str(self.link))
            self.ending.append(self._activation_call(str(self.link), []))
        self._add_target_scaling()

    def call(self, text: str, size: int, *, in_place: bool = False, other: _Value | None = None) -> None:
        """The next call: from the last value ({in}, and {other}) to a new one ({out}) of `size` floats, which may be
        the same memory when `in_place`."""
        source, now = self.values[-1], len(self.calls)
        reads = [source] if other is None else [source, other]
        for value in reads:
            value.last_use = now
        made = _Value(size, now, now)
        if in_place and source.place != "x":
            made.shares = source
        self.values.append(made)
        self.calls.append((text, reads, made))

    def _add_dense(self, index: int, _spec: Any, _numbers: Any) -> None:
        tensors = self.tensors(index)
        kernel = tensors["kernel"]
        inputs, units = kernel.shape
        if self.int8:
            matrix, scales = quantize(kernel.astype(np.float64), np.ones(inputs))
            offset = next(place[0] for name, at, *place in self.core.tensors if at == index and name == "kernel")
            self.exact[offset : offset + kernel.size] = (matrix * scales).ravel()
            weights = self.constant("int8_t", f"kernel_{index}", matrix)
            weights += ", " + self.constant("float", f"scale_{index}", scales)
        else:
            weights = self.constant("float", f"kernel_{index}", kernel)
        function = "dense_int8" if self.int8 else "dense"
        self.helpers.add(function)
        bias = self._optional("float", index, tensors, "bias")
        self.call(f"{self.prefix}{function}({{in}}, {inputs}, {units}, {weights}, {bias}, {{out}});", units)

    def _optional(self, kind: str, index: int, tensors: dict[str, np.ndarray], name: str) -> str:
        return self.constant(kind, f"{name}_{index}", tensors[name]) if name in tensors else "0"

    def _passes(self, _index: int, _spec: Any, _numbers: Any) -> None:
        """A layer that only trains."""

    _add_dropout = _add_gaussian_noise = _add_activation = _passes

    def _add_normalization(self, index: int, _spec: Any, numbers: Any) -> None:
        self.helpers.add("normalize")
        tensors, n = self.tensors(index), self.values[-1].size
        if not tensors["rows"][0, 0] > 0:
            raise NotReadyError(f"expected a normalization that was adapted to data; received none in layer {index}")
        shift, scale = (self.constant("double", f"{name}_{index}", tensors[name]) for name in ("shift", "scale"))
        fill = self.constant("double", f"fill_{index}", tensors["fill"]) if numbers["missing"] else "0"
        clip = _double(numbers["clip"])
        self.call(f"{self.prefix}normalize({n}, {{in}}, {shift}, {scale}, {fill}, {clip}, {{out}});", n, in_place=True)

    def _add_batch_normalization(self, index: int, _spec: Any, numbers: Any) -> None:
        self.helpers.add("affine")
        tensors, n = self.tensors(index), self.values[-1].size
        shift = self.constant("double", f"mean_{index}", tensors["moving_mean"])
        inverse = 1 / np.sqrt(tensors["moving_variance"] + numbers["epsilon"])
        scale = self.constant("double", f"inverse_{index}", inverse)
        both = ", ".join(self._optional("float", index, tensors, name) for name in ("gamma", "beta"))
        self.call(f"{self.prefix}affine({n}, {{in}}, {shift}, {scale}, {both}, {{out}});", n, in_place=True)

    def _add_layer_normalization(self, index: int, _spec: Any, numbers: Any) -> None:
        self.helpers.add("layer_norm")
        tensors, n = self.tensors(index), self.values[-1].size
        both = ", ".join(self._optional("float", index, tensors, name) for name in ("gamma", "beta"))
        epsilon = _double(numbers["epsilon"])
        self.call(f"{self.prefix}layer_norm({n}, {{in}}, {both}, {epsilon}, {{out}});", n, in_place=True)

    def _add_add(self, index: int, _spec: Any, numbers: Any) -> None:
        first = index - int(numbers["layers"])
        other = self.after[first - 1] if first > 0 else self.values[0]
        n = self.values[-1].size
        text = f"for (size_t i = 0; i < {n}; i++) {{out}}[i] = {{in}}[i] + {{other}}[i];"
        self.call(text, n, in_place=True, other=other)

    def _add_categorical(self, index: int, spec: Any, numbers: Any) -> None:
        self.helpers.add("categorical")
        columns, sizes = np.asarray(spec["columns"]), np.asarray(spec["sizes"])
        wide, inputs = int(numbers["dimension"]), self.values[-1].size
        coded = len(columns) * wide if wide else int((sizes + 1).sum())
        names = [self.constant("int32_t", f"{n}_{index}", v) for n, v in (("columns", columns), ("sizes", sizes))]
        table = self._optional("float", index, self.tensors(index), "embeddings")
        arguments = f"{inputs}, {{in}}, {len(columns)}, {', '.join(names)}, {wide}, {table}"
        self.call(f"{self.prefix}categorical({arguments}, {{out}});", inputs - len(columns) + coded)

    def _add_target_scaling(self) -> None:
        if not getattr(self.core, "target_scaling", False):
            return
        tensors = self.tensors(-1)
        names = ("target_shift", "target_spread")
        shift, spread = (self.constant("double", name, tensors[name]) for name in names)
        self.ending.append(
            f"for (size_t i = 0; i < {self.outputs}; i++) y[i] = (float)((double)y[i] * {spread}[i] + {shift}[i]);"
        )

    def _need_activation(self, name: str) -> None:
        scalar = f"{name}_value"
        if amalgamate.has_function(scalar):
            self.scalars.append(scalar)
        elif name == "softmax":
            self.scalars.append("row_exp")
            self.helpers.add("softmax")
        elif name != "linear":
            raise UnsupportedError(f"expected an activation that can be exported; received {name!r}")

    def _activate(self, activation: tuple[str, Any]) -> None:
        name, numbers = activation
        self._need_activation(name)
        if name != "linear":
            n = self.values[-1].size
            self.call(self._activation_call(name, list(numbers.values()), "{in}", "{out}", n), n, in_place=True)

    def _activation_call(self, name: str, numbers: list[float], x: str = "y", y: str = "y", n: int = 0) -> str:
        n = n or self.outputs
        if name == "softmax":
            return f"{self.prefix}softmax({n}, {x}, {y});"
        a = _float(numbers[0]) if numbers else "0"
        return f"for (size_t i = 0; i < {n}; i++) {y}[i] = {self.prefix}{name}_value({x}[i], {a});"

    # ---- memory

    def _place(self) -> None:
        """Every value gets its place: the last is the output, others share the working memory, large ones first."""
        for value in self.values[1:]:
            if value.shares is not None and value.shares.root().last_use > value.born:
                value.shares = None  # someone reads the old value later
            if value.shares is not None:
                root = value.shares.root()
                root.last_use = max(root.last_use, value.last_use)
        self.values[-1].root().place = "y"
        placed: list[tuple[int, int, _Value]] = []
        free = [value for value in self.values[1:] if value.shares is None and not value.place]
        for value in sorted(free, key=lambda value: -value.size):
            at = 0
            for start, end, other in sorted(placed, key=lambda p: p[0]):
                together = other.born <= value.last_use and value.born <= other.last_use
                if together and at < end and start < at + value.size:
                    at = end
            placed.append((at, at + value.size, value))
            value.place = f"(scratch + {at})" if at else "scratch"
        self.scratch = max((end for _, end, _ in placed), default=0)

    def statements(self) -> list[str]:
        """The calls, with their places."""
        out = []
        for text, reads, made in self.calls:
            places = {"{in}": reads[0], "{other}": reads[-1], "{out}": made}
            for mark, value in places.items():
                text = text.replace(mark, value.root().place)
            out.append(text)
        return out

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


def _measured(trained: Network, network: _Network, rows: np.ndarray | None, path: str) -> Exported:
    cost = (path, network.name, network.flash_bytes, 4 * network.scratch)
    if rows is None:
        return Exported(*cost)
    expected = predict(trained, rows, False, True)
    found = _reference(network).predict(rows.astype(np.float32), np.empty(expected.shape, np.float32))
    same = expected.argmax(1) == found.argmax(1) if network.outputs > 1 else (expected > 0.5) == (found > 0.5)
    return Exported(*cost, float(np.abs(found.astype(np.float64) - expected).max()), float(np.mean(same)))


def _reference(network: _Network) -> _core.Model:
    """A float32 model with the weights as the header holds them."""
    context = _core.Context(cpu="baseline", threads=1)
    core = assemble(network.inputs, network.core.layers, "float32", 0, network.core.target_scaling, context)
    np.asarray(core.parameters)[...] = network.exact
    if network.state.size:
        np.asarray(core.state)[...] = network.state
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
static inline void P_softmax(size_t n, const float *x, float *y) {
  float largest = x[0];
  for (size_t i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  const double inverse = 1 / (1 + P_row_exp(n, x, largest, y)); /* row_exp leaves the 1 of the largest out */
  for (size_t i = 0; i < n; i++) y[i] = (float)((double)y[i] * inverse);
}
""",
    "affine": """
static inline void P_affine(size_t n, const float *x, const double *shift, const double *scale, const float *gamma,
                            const float *beta, float *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = (float)(((double)x[i] - shift[i]) * scale[i] * (gamma ? (double)gamma[i] : 1) +
                   (beta ? (double)beta[i] : 0));
}
""",
    "layer_norm": """
static inline void P_layer_norm(size_t n, const float *x, const float *gamma, const float *beta, double epsilon,
                                float *y) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] - (double)x[0];
  const double mean = (double)x[0] + sum / (double)n;
  for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
  const double variance = squares / (double)n + epsilon, inverse = variance > 0 ? 1 / sqrt(variance) : 0;
  for (size_t i = 0; i < n; i++)
    y[i] = (float)(((double)x[i] - mean) * inverse * (gamma ? (double)gamma[i] : 1) + (beta ? (double)beta[i] : 0));
}
""",
    "normalize": """
/* (x - shift) scale; a scale of 0 gives 0, of NaN x itself; NaN is replaced by `fill` (0: not), clip > 0 cuts. */
static inline void P_normalize(size_t n, const float *x, const double *shift, const double *scale, const double *fill,
                               double clip, float *y) {
  for (size_t i = 0; i < n; i++) {
    const double given = (double)x[i], value = given != given && fill ? fill[i] : given;
    double z = (value - shift[i]) * scale[i];
    if (!(scale[i] < 0) && !(scale[i] > 0) && value <= DBL_MAX && value >= -DBL_MAX) z = 0;
    if (clip > 0) z = z > clip ? clip : z < -clip ? -clip : z;
    y[i] = scale[i] != scale[i] ? x[i] : (float)z;
  }
}
""",
    "categorical": """
/* The other columns first, then for each code column its slot (0: unknown, else 1 + code): one of size + 1 columns that
 * is 1, or a row of `wide` numbers from the table. */
static inline void P_categorical(size_t n, const float *x, size_t coded, const int32_t *columns, const int32_t *sizes,
                                 size_t wide, const float *table, float *y) {
  for (size_t i = 0, c = 0; i < n; i++) {
    if (c < coded && (size_t)columns[c] == i) c++;
    else *y++ = x[i];
  }
  for (size_t c = 0; c < coded; c++) {
    const float code = x[columns[c]];
    const int known = code >= 0 && code < (float)sizes[c] && !((float)(int32_t)code < code);
    const size_t slot = known ? (size_t)code + 1 : 0, slots = (size_t)sizes[c] + 1, width = wide ? wide : slots;
    for (size_t i = 0; i < width; i++) y[i] = wide ? table[slot * wide + i] : (float)(i == slot);
    y += width;
    if (wide) table += slots * wide;
  }
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
    shape = " -> ".join(str(value.size) for value in [network.values[0], *network.after])
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
#define N_SCRATCH {max(1, network.scratch)} /* floats of working memory */
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
    return network.outputs > 1 or bool(network.labels) or (network.link == "sigmoid")


def _definitions(network: _Network, own: str) -> list[str]:
    body = "".join(f"  {statement}\n" for statement in network.statements())
    unused = "" if network.scratch else "  (void)scratch;\n"
    ending = "".join(f"  {statement}\n" for statement in network.ending)
    out = [
        f"\n{own}void P_raw_in(const float *x, float *y, float *scratch) {{\n{unused}{body}}}\n",
        f"\n{own}void P_predict_in(const float *x, float *y, float *scratch) {{\n"
        f"  P_raw_in(x, y, scratch);\n{ending}}}\n",
        f"\n{own}void P_predict(const float *x, float *y) {{\n  float scratch[N_SCRATCH];\n"
        "  P_predict_in(x, y, scratch);\n}\n",
    ]
    if _classifies(network):
        threshold = "0" if network.link == "sigmoid" else "0.5f"
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
