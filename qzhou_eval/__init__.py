"""Evaluate text-embedding models on CMTEB: every dimension from one encoding pass, with token prepending."""

import importlib

__all__ = ["Embedder", "MTEBEncoder", "load_results", "token_prepending"]

_HOMES = {
    "Embedder": "qzhou_eval.model.embedder",
    "MTEBEncoder": "qzhou_eval.run.mteb_encoder",
    "load_results": "qzhou_eval.results.dataframe",
    "token_prepending": "qzhou_eval.model.token_prepending",
}


def __dir__() -> list[str]:
    """The public names, which are imported only on first use, and the names that every module has."""
    return sorted({name for name in globals() if name.startswith("__")} | set(__all__))


def __getattr__(name: str):
    """Import a public name on first use, so that torch and pandas are loaded only when needed."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
