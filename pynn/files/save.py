"""Write a network to a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .. import checks
from ..network.fills import with_fills
from ..network.network import Network

__all__ = ["save"]


def save(network: Network, path: Any, notes: Mapping[str, Any]) -> None:
    """Write a safetensors file of layers, parameters, loss and `notes`; an older file is replaced at once or stays."""
    core, notes = network.core, dict(notes)
    if network.schema is not None and network.schema.fill is not None:
        core, notes["fills"] = with_fills(core, network.schema.fill)
        if network.loss is not None:
            network.loss.apply(core)
    core.save(os.fsencode(checks.path("path", path)), {"python": json.dumps(notes)})
