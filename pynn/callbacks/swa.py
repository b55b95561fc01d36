"""Average the parameters with equal weights."""

from __future__ import annotations

from .averaging import Average


class SWA(Average):
    """Keep the mean of the parameters after the steps start, start + every, ...: stochastic weight averaging.

    To average the parameters after each epoch, set `every` to the number of steps in an epoch. For everything else see
    `EMA`.

    Parameters
    ----------
    start : int >= 0
        Number of applied steps before the first that counts.
    every : int >= 1
        Number of applied steps from one that counts to the next.
    validate : bool
        Validate with the average.
    swap : bool
        Leave the average in the model when training ends; otherwise it is only in `parameters`.

    Attributes
    ----------
    parameters : ndarray of float64, or None
        The average, once training has ended.

    References
    ----------
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.

    Examples
    --------
    >>> import pynn
    >>> average = pynn.SWA(start=1000, every=100)
    """

    def __init__(self, start: int = 0, every: int = 1, validate: bool = True, swap: bool = True) -> None:
        super().__init__(0.0, start, every, validate, swap)
