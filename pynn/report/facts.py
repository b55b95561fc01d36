"""The fields of a finding that its sentences are made from."""

from __future__ import annotations

from typing import Any, Protocol

from .advice import Advice


class Facts(Protocol):
    """Fields that a text reads; see `pynn.report.finding.Finding`."""

    @property
    def code(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def layer(self) -> int | None: ...
    @property
    def step(self) -> int | None: ...
    @property
    def rows(self) -> list[int]: ...
    @property
    def columns(self) -> list[int]: ...
    @property
    def evidence(self) -> dict[str, Any]: ...
    @property
    def advice(self) -> tuple[Advice, ...]: ...
