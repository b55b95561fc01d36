"""The text of a header, from a program's pieces."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ... import _core
from . import amalgamate
from .exported import Exported
from .helpers import HELPERS, PRELUDE
from .literals import comment, literal, string, wrapped
from .program import Program

__all__ = ["header"]

TEST_ROWS = 2
TOLERANCE = {"float": "1e-4f", "double": "1e-9"}


def header(program: Program, exported: Exported, linkage: str) -> str:
    """Write the header. P_ stands for its prefix in the parts, N_ for that of its macros."""
    static = linkage == "static"
    own = "static inline " if static else ""
    parts = [_opening(program, exported, static), *_declarations(program, "static inline " if static else "")]
    if not static:
        parts.append("#ifdef N_IMPLEMENTATION\n")
    parts.append(PRELUDE.replace("FMA(", "__builtin_fmaf(" if program.real == "float" else "__builtin_fma("))
    if program.scalars:
        parts.append(amalgamate.extract(sorted(set(program.scalars)), program.prefix, program.real) + "\n")
    parts += [_helper(name) for name in sorted(program.helpers)]
    parts += ["\n/* ---- weights */\n\n", *program.constants]
    parts += [*_definitions(program, own), _self_test(program, own)]
    if not static:
        parts.append("\n#endif /* N_IMPLEMENTATION */\n")
    parts.append('\n#ifdef __cplusplus\n} /* extern "C" */\n#endif\n\n#endif\n')
    text = "".join(parts)
    return re.sub(r"\bN_", f"{program.prefix}".upper(), re.sub(r"\bP_", program.prefix, text))


def _helper(name: str) -> str:
    """Return a function; `normalize_input` is `normalize` for what the header takes."""
    if name == "normalize_input":
        return HELPERS["normalize"].replace("P_normalize", "P_normalize_input").replace("IN", "P_input")
    return HELPERS[name].replace("const IN ", "const P_real ")


# ---- the opening


def _opening(program: Program, exported: Exported, static: bool) -> str:
    shape = " -> ".join(str(value.size) for value in [program.values[0], *program.after])
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
    weights = "8-bit" if program.int8 else program.dtype.name
    return f"""/* {program.name}: a trained network, {shape}, written by pynn {_core.__version__}.
 *
 * Self-contained C99 and C++: {exported.flash_bytes:,} bytes of {weights} weights, {exported.scratch_bytes:,} bytes of
 * working memory. No allocation, no library, no state: any number of threads may predict.
{measured}{use}
 * Compiled with -ffp-contract=off it gives the bits that pynn's predict gives on a processor with (N_FMA 1) or without
 * (N_FMA 0) fused multiply-add; subnormal numbers aside, which pynn takes as zero.
{_types(program)}{_columns(program)}{_classes(program)} */
{_macros(program)}"""


def _macros(program: Program) -> str:
    """Return includes, sizes and types."""
    return f"""#ifndef N_H
#define N_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define N_INPUTS {program.inputs}
#define N_OUTPUTS {program.outputs}
#define N_SCRATCH {max(1, program.scratch)} /* reals of working memory */
typedef {program.real} P_real; /* what the network computes in */
typedef {program.input_type} P_input;
typedef {program.output_type} P_output;
#ifndef N_CONSTANT
#  define N_CONSTANT static const /* of the weights: a section attribute, for instance */
#endif

#ifdef __cplusplus
extern "C" {{
#endif

"""


def _types(program: Program) -> str:
    """Say where the data need double."""
    needed = [name for name, kind in (("inputs", program.input_type), ("outputs", program.output_type))
              if kind != program.real]  # fmt: skip
    if not needed:
        return ""
    return f" * Its {' and '.join(needed)} are doubles: float has too few steps for numbers so far from 0.\n"


def _columns(program: Program) -> str:
    """Say what each input is, as far as training knew it."""
    schema = program.schema
    if schema is None:
        return ""
    lines = []
    for index, column in enumerate(schema.columns):
        if column.name is not None:
            codes = "" if column.values is None else f": {_codes(column.values, 1)}; 0 for anything else"
            lines.append(f" *   x[{index}]  {comment(column.name)}{codes}\n")
    head = " *\n * Inputs, in this order:\n" if lines else ""
    filled = " * NaN and infinite inputs are replaced by what training put in their place.\n"
    return head + "".join(lines) + ("" if schema.fill is None else filled)


def _codes(values: Any, first: int) -> str:
    """List what each code stands for, in lines of a comment."""
    items = [f'{code} "{comment(value)}"' for code, value in enumerate(values, first)]
    return ",\n *         ".join(", ".join(items[i : i + 8]) for i in range(0, len(items), 8))


def _classes(program: Program) -> str:
    """Say what each class or output is called."""
    schema = program.schema
    if program.labels:
        what = "Outputs" if program.several else "Classes"
        return f" * {what}: {_codes(program.labels, 0)}.\n"
    if schema is not None and schema.targets:
        return f" * Predicts {', '.join(map(comment, schema.targets))}.\n"
    return ""


# ---- functions


def _declarations(program: Program, own: str) -> list[str]:
    raw = "z" if program.output_type != program.real else "y"
    lines = [
        "/* The prediction y (N_OUTPUTS) for x (N_INPUTS); raw: before the output function. `scratch` holds N_SCRATCH\n"
        " * reals. x, y and scratch do not overlap. */\n",
        f"{own}void P_predict(const P_input *x, P_output *y);\n",
        f"{own}void P_predict_in(const P_input *x, P_output *y, P_real *scratch);\n",
        f"{own}void P_raw_in(const P_input *x, P_real *{raw}, P_real *scratch);\n",
    ]
    if program.several:
        lines.append(
            "/* classes[i]: 1 where output i of N_OUTPUTS is likelier than not, else 0. */\n"
            f"{own}void P_classify(const P_input *x, int *classes);\n"
        )
    elif program.classifies:
        lines.append(
            f"/* The likeliest class of x, 0 ... {program.classes - 1}. */\n{own}int P_classify(const P_input *x);\n"
        )
    if program.labels:
        what = "an output" if program.several else "a class"
        lines.append(
            f'/* The name of {what}, "" for a number that is none. */\n{own}const char *P_label(int class_);\n'
        )
    lines.append("#ifndef N_NO_SELF_TEST\n")
    lines.append("/* Predicts stored rows; returns how many outputs are not what they were when this was written. */\n")
    lines.append(f"{own}int P_self_test(void);\n#endif\n\n")
    return lines


def _definitions(program: Program, own: str) -> list[str]:
    body = "".join(f"  {statement}\n" for statement in program.statements())
    unused = "" if program.scratch else "  (void)scratch;\n"
    ending = "".join(f"  {statement}\n" for statement in program.ending)
    apart = program.output_type != program.real
    raw = "  P_real z[N_OUTPUTS];\n  P_raw_in(x, z, scratch);\n" if apart else "  P_raw_in(x, y, scratch);\n"
    out = [
        f"\n{own}void P_raw_in(const P_input *x, P_real *y, P_real *scratch) {{\n{unused}{body}}}\n",
        f"\n{own}void P_predict_in(const P_input *x, P_output *y, P_real *scratch) {{\n{raw}{ending}}}\n",
        f"\n{own}void P_predict(const P_input *x, P_output *y) {{\n  P_real scratch[N_SCRATCH];\n"
        "  P_predict_in(x, y, scratch);\n}\n",
    ]
    if program.several or program.classifies:
        out.append(_classify(program, own))
    if program.labels:
        names = wrapped([string(label) for label in program.labels], 6)
        out.append(
            f"\n{own}const char *P_label(int class_) {{\n  static const char *const labels[] = {{{names}}};\n"
            f'  return class_ >= 0 && class_ < {len(program.labels)} ? labels[class_] : "";\n}}\n'
        )
    return out


def _classify(program: Program, own: str) -> str:
    threshold = "0" if program.link == "sigmoid" else "0.5f" if program.real == "float" else "0.5"
    begin = "  P_real scratch[N_SCRATCH], y[N_OUTPUTS];\n  P_raw_in(x, y, scratch);\n"
    if program.several:
        each = f"  for (int i = 0; i < N_OUTPUTS; i++) classes[i] = y[i] > {threshold};\n"
        return f"\n{own}void P_classify(const P_input *x, int *classes) {{\n{begin}{each}}}\n"
    best = (
        "  int best = 0;\n  for (int i = 1; i < N_OUTPUTS; i++) best = y[i] > y[best] ? i : best;\n  return best;\n"
        if program.outputs > 1
        else f"  return y[0] > {threshold};\n"
    )
    return f"\n{own}int P_classify(const P_input *x) {{\n{begin}{best}}}\n"


# ---- the self-test


def _test_rows(program: Program) -> np.ndarray:
    """Return rows like those that the first layer expects, short in the source."""
    x = np.random.default_rng(0).normal(size=(TEST_ROWS, program.inputs))
    if program.input_type != program.real:
        tensors = program.tensors(0)
        scale = tensors["scale"][0]
        own = scale > 0
        x[:, own] = tensors["shift"][0][own] + x[:, own] / scale[own]
        return x
    return np.round(x.astype(np.float32), 2)


def _self_test(program: Program, own: str) -> str:
    x = _test_rows(program)
    y = program.predict(x)
    size = "0"
    if program.core.target_scaling:  # what a difference is compared with, where all outputs are far from 0
        spread = program.tensors(-1)["target_spread"]
        size = literal(program.output_type, spread.max())
    kind = program.output_type
    return f"""
#ifndef N_NO_SELF_TEST
{own}int P_self_test(void) {{
  N_CONSTANT P_input x[{x.size}] = {{
  {wrapped([literal(program.input_type, v) for v in x.ravel()], 16)}}};
  N_CONSTANT P_output expected[{y.size}] = {{
  {wrapped([literal(kind, v) for v in y.ravel()], 8)}}};
  P_real scratch[N_SCRATCH];
  P_output y[N_OUTPUTS];
  int wrong = 0;
  for (int row = 0; row < {TEST_ROWS}; row++) {{
    const P_output *e = expected + row * N_OUTPUTS;
    P_output largest = {size};
    for (int i = 0; i < N_OUTPUTS && !({size} > 0); i++)
      largest = e[i] > largest ? e[i] : -e[i] > largest ? -e[i] : largest;
    P_predict_in(x + row * N_INPUTS, y, scratch);
    for (int i = 0; i < N_OUTPUTS; i++) {{
      const P_output away = y[i] > e[i] ? y[i] - e[i] : e[i] - y[i];
      wrong += !(away <= {_tolerance(program)} * largest);
    }}
  }}
  return wrong;
}}
#endif
"""


def _tolerance(program: Program) -> str:
    """Return the share of the largest output that another compiler's rounding may change."""
    if program.real == "float":
        return "1e-3" if program.output_type == "double" else "1e-4f"
    return "1e-9"
