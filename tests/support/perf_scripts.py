"""Loads scripts of perf/ as modules."""

import importlib.util
from pathlib import Path


def perf_script(name: str):
    path = Path(__file__).parents[2] / "perf" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
