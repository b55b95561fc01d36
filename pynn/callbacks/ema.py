"""Average the parameters with exponentially falling weights."""

from __future__ import annotations

from .. import checks
from .averaging import Average


class EMA(Average):
    """Keep an exponential moving average of the parameters: a <- decay a + (1 - decay) w after each step, from a = w.

    The average is validated instead of the last parameters, and left in the model when training ends. It is a sum in
    float64, has the same bits on any number of threads, and continues from a checkpoint.

    Parameters
    ----------
    decay : float in (0, 1)
        About the last 1 / (1 - decay) steps count.
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

    Notes
    -----
    The moving moments of a `BatchNormalization` belong to the weights they were taken with. Wherever the average is put
    into the model they are computed again from a pass over the training data, see `Sequential.update_moments`: one
    forward pass for each such layer and validation. Streams cannot be read a second time; a warning then says that the
    moments are not those of the average. `EarlyStopping` and `ModelCheckpoint` keep the averaged model when the average
    was validated.

    References
    ----------
    Polyak and Juditsky, SIAM J. Control Optim. 30, 1992; PyTorch's ``AveragedModel`` with ``get_ema_multi_avg_fn``.

    Examples
    --------
    >>> import pynn
    >>> (X, y), (Xt, yt) = pynn.datasets.digits()
    >>> model = pynn.Sequential([pynn.Dense(10)], seed=0)
    >>> model.compile(loss="softmax_cross_entropy", optimizer=pynn.SGD(learning_rate=0.1))
    >>> history = model.fit(X[:600], y[:600], epochs=3, callbacks=[pynn.EMA(0.9)])
    """

    def __init__(
        self, decay: float = 0.999, start: int = 0, every: int = 1, validate: bool = True, swap: bool = True
    ) -> None:
        super().__init__(checks.number("decay", decay, above=0, below=1), start, every, validate, swap)
