"""Settings of the documentation site: ``python -m sphinx -W docs build/site``."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pynn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "pynn"
author = copyright = "the pynn contributors"
version = release = pynn.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",  # reads numpydoc
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["gallery/GALLERY_HEADER.rst", "_templates", "gallery/*.ipynb", "gallery/*.py"]
suppress_warnings = ["config.cache"]  # the gallery's settings hold functions
nitpicky = False

html_theme = "furo"
html_title = f"pynn {version}"
html_static_path, html_css_files = ["_static"], ["wide.css"]
html_show_sourcelink = False
pygments_style, pygments_dark_style = "friendly", "monokai"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples" / "gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",  # files with other names take minutes: shown, not run
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": "True",
}

# ---- the reference: a page for every public name, from the tables that the package itself imports by

GROUPS = {  # heading -> modules whose names are public at the top
    "Models": ["model", "layers", "files.load", "interchange", "files.torch", "lbfgs"],
    "Training and data": ["data", "callbacks", "training.checkpoint", "report", "metrics"],
    "Finding what is wrong": [],
}
MODULES = ["activations", "callbacks", "constraints", "data", "datasets", "initializers", "layers", "losses", "metrics",
           "optimizers", "regularizers", "schedules", "sklearn", "errors", "plots", "blas", "runtime"]  # fmt: skip
HIDDEN = {"layers": ["checked", "flatten", "from_core", "from_dict", "nest", "require_dense", "tolerates",
                     "with_functions"], "plots": ["MissingDependencyError"]}  # fmt: skip


def summary(heading: str, names: list[str]) -> str:
    """Return a section with a table of names, each with a page of its own."""
    listed = "\n".join(f"   {name}" for name in names)
    return f"{heading}\n{'-' * len(heading)}\n\n.. autosummary::\n   :toctree: pages\n\n{listed}\n"


def write_reference() -> None:
    """Write the tables of `api/index.rst`."""
    homes: dict[str, list[str]] = {}
    for name, home in pynn._WHERE.items():
        if home != "errors":
            homes.setdefault(home, []).append(f"pynn.{name}")
    known = {home for group in GROUPS.values() for home in group}
    parts = ["Reference", "=========", ""]
    for heading, group in GROUPS.items():
        taken = group or [home for home in homes if home not in known]
        parts.append(summary(heading, [name for home in taken for name in homes.get(home, [])]))
    at_top = {name for names in homes.values() for name in names}
    for name in MODULES:
        module = importlib.import_module(f"pynn.{name}")
        names = [one for one in module.__all__ if one not in HIDDEN.get(name, []) and f"pynn.{one}" not in at_top]
        if names:
            parts.append(summary(f"pynn.{name}", [f"pynn.{name}.{one}" for one in names]))
    (HERE / "api").mkdir(exist_ok=True)
    (HERE / "api" / "index.rst").write_text("\n".join(parts), encoding="utf-8")


write_reference()


def keep_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep |z - y| in the text of a docstring, which reStructuredText takes for a substitution."""
    lines[:] = [line if "``" in line or ">>>" in line else re.sub(r"\\?\|", r"\\|", line) for line in lines]


def is_foreign(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn adds to its estimators."""
    return True if str(getattr(thing, "__module__", "")).startswith("sklearn") else None


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", is_foreign)
    app.connect("autodoc-process-docstring", keep_bars)
