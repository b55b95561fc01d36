"""The methods of a model that write it for other programs."""

from __future__ import annotations

from typing import Any

from ..network.network import Network
from ..training.learner import Learner
from .export_c import Exported, export_c
from .onnx.export import ExportedOnnx, export_onnx

__all__ = ["Exports"]


class Exports:
    """Base of a model: its exports."""

    _network: Network
    _learner: Learner

    def export_c(self, path: Any, **options: Any) -> Exported:
        """Write the model as one self-contained C99 header: see `pynn.files.export_c.export_c`.

        Parameters
        ----------
        path : str or path
            The header, ``"digits.h"``.
        **options
            Those of `pynn.files.export_c.export_c`: ``name``, ``weights``, ``labels``, ...

        Returns
        -------
        Exported
            Bytes of flash and of scratch memory, and what rounding costs.
        """
        return export_c(self._network, path, **options)

    def export_onnx(
        self, path: Any, *, opset: int = 21, ir_version: int = 10, logits: bool = False, gemm: bool = True,
        batch: int | None = None,
    ) -> ExportedOnnx:  # fmt: skip
        """Write the model as an ONNX graph: for onnxruntime, OpenVINO, ncnn, hls4ml and others; see docs/onnx.md.

        What training did to the data is in it: columns are normalized, categories coded, gaps filled, targets scaled
        back. `pynn.load` makes the same model of the file again. Needs the package onnx, ``pynn-dense[onnx]``. Where
        onnxruntime is installed, the file is tried with it before it is written.

        Parameters
        ----------
        path : str or path
            The file, ``"model.onnx"``; an older one is replaced as a whole.
        opset : int in 18 ... 25
            Version of the operators. LayerNormalization and Gelu are operators from 17 and 20 on.
        ir_version : int in 8 ... 14
            Version of the format. Older runtimes refuse newer files: 10 with opset 21 is read by all of the last years.
        logits : bool
            True: the output is what the last layer gives, ``predict(X, raw=True)``, and is named ``logits``.
            False: predictions, named ``predictions``.
        gemm : bool
            False: MatMul and Add in place of Gemm, for hls4ml and for quantizers.
        batch : int, optional
            Rows of a batch. None: any number.

        Returns
        -------
        ExportedOnnx
            Names of inputs and output, size, and the largest difference that onnxruntime showed.

        Notes
        -----
        The input is ``X``, of shape (rows, inputs): in float64 where the model's is, and where numbers are normalized
        that float32 has no steps for. A model that was trained on a table has an input of shape (rows, 1) for each
        column, under its name: text for categories of text, else float64.

        Raises
        ------
        MissingDependencyError
            onnx is not installed.
        UnsupportedError
            The model has a custom activation, or a kind of layer that cannot be exported.
        NotReadyError
            The model was not built, or a normalization not adapted.
        NumericalError
            onnxruntime's predictions differ from the model's; nothing is written.
        FileError
            The file cannot be written; an older one stays.
        """
        return export_onnx(
            self._learner, path, opset=opset, ir_version=ir_version, logits=logits, gemm=gemm, batch=batch
        )
