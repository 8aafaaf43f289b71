"""``verify`` as a command, and its printed table read back."""

import re

import yaml

from qzhou_eval import cli


def quick_profile(folder, **changes):
    """Write the published protocol with a short limit to a file, with one thing changed."""
    path = folder / "quick.yaml"
    fields = {"name": "quick", "extends": "qzhou-zh", "source": "this test", "max_length": 96}
    path.write_text(yaml.safe_dump(fields | changes, allow_unicode=True), "utf-8")
    return path


def verify(model, profile, *flags) -> int:
    argv = ["verify", "--model_name_or_path", str(model), "--profile", str(profile), "--device", "cpu", *flags]
    return cli.main([str(arg) for arg in argv])


def marks(out: str) -> dict[str, str]:
    return dict(re.findall(r"^(parameters|tensors|prompts|token ids) +(OK|DIFFERS|stated)", out, re.MULTILINE))


def verdict(out: str) -> str:
    return out.splitlines()[-1]


def fitting(out: str) -> list[str]:
    """The readings that fit in float32."""
    return [m[1] for m in re.finditer(r"^float32 +(TP \d-\d|off) .* yes$", out, re.MULTILINE)]


OK = {"parameters": "OK", "tensors": "OK", "prompts": "OK", "token ids": "OK"}
