"""The polynomials of the normal distribution in csrc/src/base/numerics.h: fits in extended precision, printed as C.

Weighted least squares on Chebyshev points, which is near minimax. Coefficients are rounded to the dtype one after the
other, from the lowest power, and those that follow are fitted again to what rounding left. Needs mpmath.

    python benchmarks/polynomials.py
"""

from __future__ import annotations

import re
from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 60
SQRT_TAU = mp.sqrt(2 * mp.pi)
Function = Callable[[mp.mpf], mp.mpf]


def below(a: mp.mpf) -> mp.mpf:
    """Phi(-a), relatively exact."""
    return mp.erfc(a / mp.sqrt(2)) / 2


def density(a: mp.mpf) -> mp.mpf:
    return mp.exp(-a * a / 2) / SQRT_TAU


def central(a: mp.mpf) -> mp.mpf:
    """(Phi(a) - 1/2) / a"""
    return mp.erf(a / mp.sqrt(2)) / 2 / a if a else 1 / SQRT_TAU


def central_slope(a: mp.mpf) -> mp.mpf:
    """(gelu'(a) - 1/2) / a"""
    return central(a) + density(a)


def tail_ratio(a: mp.mpf) -> mp.mpf:
    """e^(a^2/2) Phi(-a)"""
    return mp.exp(a * a / 2) * below(a)


def rounded(value: mp.mpf, bits: int) -> mp.mpf:
    with mp.workprec(bits):
        return +value


def solve(rows: list[list[mp.mpf]], values: list[mp.mpf]) -> list[mp.mpf]:
    a, b = mp.matrix(rows), mp.matrix(values)
    return list(mp.lu_solve(a.T * a, a.T * b))


def fit(f: Function, variable: Function, weight: Function, low: float, high: float, terms: int, bits: int):
    """(coefficients, largest weighted error as a power of two) for low <= a <= high."""
    ends = variable(mp.mpf(low)), variable(mp.mpf(high))
    middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    count = 6 * terms
    points = []
    for i in range(count):
        x = middle - half * mp.cos(mp.pi * (i + mp.mpf("0.5")) / count)
        a = mp.findroot(lambda a, x=x: variable(a) - x, (low, high), solver="anderson", tol=1e-80, maxsteps=200)
        points.append((x, f(a), weight(a)))
    coefficients: list[mp.mpf] = []
    for k in range(terms):
        rows, values = [], []
        for x, y, w in points:
            left = y - mp.polyval(coefficients[::-1], x) if coefficients else y
            rows.append([w * x**j for j in range(k, terms)])
            values.append(w * left)
        coefficients.append(rounded(solve(rows, values)[0], bits))
    worst = max(abs(w * (mp.polyval(coefficients[::-1], x) - y)) for x, y, w in points)
    return coefficients, mp.log(worst, 2)


def as_c(name: str, coefficients: list[mp.mpf], bits: int) -> str:
    suffix = "f" if bits == 24 else ""
    numbers = ", ".join(re.sub(r"\.?0*p", "p", float(c).hex()) + suffix for c in coefficients)
    return f"static const real {name}_polynomial[] = {{{numbers}}};"


def main() -> None:
    for bits, top, centre, near, near_slope, terms in (
        (24, 13.25, 2, 0.9, 1.1, (6, 8, 9, 8)),
        (53, 37.7, 4, 0.9, 1.1, (12, 15, 22, 19)),
    ):
        print(f"/* float{32 if bits == 24 else 64} */")

        def fraction(a: mp.mpf, centre: int = centre) -> mp.mpf:
            return 1 - 2 * centre / (a + centre)

        for name, f, variable, weight, low, high, n in (
            ("gelu_near", central, lambda a: a * a, lambda a: a / below(a), 0, near, terms[0]),
            (
                "gelu_slope_near",
                central_slope,
                lambda a: a * a,
                lambda a: a / max(abs(below(a) - a * density(a)), mp.mpf(1) / 16),
                0,
                near_slope,
                terms[1],
            ),
            ("gelu_tail", lambda a: a * tail_ratio(a), fraction, lambda a: 1 / a / tail_ratio(a), near, top, terms[2]),
            (
                "gelu_slope_tail",
                lambda a, c=centre: (a + c) * tail_ratio(a),
                fraction,
                lambda a, c=centre: 1 / (a + c) / (a / SQRT_TAU - tail_ratio(a)),
                near_slope,
                top,
                terms[3],
            ),
        ):
            coefficients, worst = fit(f, variable, weight, low, high, n, bits)
            print(f"/* {name}, {n} terms: error 2^{float(worst):.1f} */")
            print(as_c(name, coefficients, bits))


if __name__ == "__main__":
    main()
