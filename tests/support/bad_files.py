"""A folder of everything that can be wrong: checkpoints, profiles, data and results with one fault each."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from checkpoints import edit_json
from layouts import MINI, read_rows, write_header, write_rows
from safetensors.torch import load_file, save_file

from qzhou_eval.benchmark.packaged import packaged_tasks

PAIRS = MINI / "MiniSTS/data/test.jsonl"
REVIEWS = MINI / "MiniClassification/data"


def prepare(root: Path, tiny: Path, finished: Path) -> None:
    """Fill ``root``: ``model`` and ``finished`` are good, ``a-file`` is a file, everything else is bad."""
    (root / "a-file").write_text("x")
    for name in ("no-model", "empty-data", "ran", "folder.yaml"):
        (root / name).mkdir()
    shutil.copytree(tiny, root / "model")
    for name, spoil in CHECKPOINTS.items():
        spoil(shutil.copytree(tiny, root / name))
    for name, text in PROFILES.items():
        (root / f"{name}.yaml").write_text(text, "utf-8")
    _data(root)
    _results(root, finished)


def _without_placeholder(folder: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / file
        path.write_text(path.read_text("utf-8").replace("<|im_start|>", "<|begin|>"), "utf-8")


def _two_dense(folder: Path) -> None:
    stack = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*stack, stack[-1]]))


def _last_module(folder: Path, kind: str) -> None:
    stack = json.loads((folder / "modules.json").read_text())
    stack[-1]["type"] = kind
    (folder / "modules.json").write_text(json.dumps(stack))


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _tensors(file: Path, change) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})


def _module_elsewhere(folder: Path, path: str) -> None:
    stack = json.loads((folder / "modules.json").read_text())
    stack[-1]["path"] = path
    (folder / "modules.json").write_text(json.dumps(stack))


def _shards_elsewhere(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "../model/model.safetensors")}
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


CHECKPOINTS = {
    "no-placeholder": _without_placeholder,
    "cut-weights": _cut,
    "two-dense": _two_dense,
    "quantised": lambda d: edit_json(d / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
    "lstm": lambda d: _last_module(d, "sentence_transformers.models.LSTM"),
    "two-poolings": lambda d: edit_json(d / "1_Pooling/config.json", pooling_mode=["cls", "mean"]),
    "no-prompt-flag": lambda d: edit_json(d / "1_Pooling/config.json", include_prompt="no"),
    "both-ways": lambda d: edit_json(d / "config.json", is_causal=False),
    "bad-config": lambda d: (d / "config.json").write_text("{"),
    "bad-heads": lambda d: edit_json(d / "config.json", num_attention_heads="four"),
    "no-tokenizer": lambda d: (d / "tokenizer.json").unlink(),
    "bad-tokenizer": lambda d: (d / "tokenizer.json").write_text('{"model": 3}'),
    "bin-weights": lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"),
    "missing-tensor": lambda d: _tensors(d / "model.safetensors", lambda w: w.pop("norm.weight")),
    "extra-tensor": lambda d: _tensors(d / "model.safetensors", lambda w: w.update(more=torch.zeros(2))),
    "wide-projection": lambda d: _tensors(
        d / "2_Dense/model.safetensors", lambda w: w.update({"linear.weight": torch.zeros(96, 65)})
    ),
    "no-projection": lambda d: (d / "2_Dense/model.safetensors").rename(d / "2_Dense/pytorch_model.bin"),
    "half-projection": lambda d: (d / "2_Dense/config.json").write_text(
        '{"out_features": 96, "activation_function": "torch.nn.modules.linear.Identity"}'
    ),
    "no-modules": lambda d: (d / "modules.json").write_text("[{}]"),
    "module-above": lambda d: _module_elsewhere(d, "../../elsewhere"),
    "module-absolute": lambda d: _module_elsewhere(d, str(d.parent / "model" / "2_Dense")),
    "shards-elsewhere": _shards_elsewhere,
    "weights-elsewhere": lambda d: edit_json(d / "config.json", transformers_weights="../model/model.safetensors"),
    "tokenizer-elsewhere": lambda d: edit_json(
        d / "tokenizer_config.json", fast_tokenizer_files=["../model/tokenizer.1.0.json"]
    ),
    "adapter": lambda d: (d / "adapter_config.json").write_text('{"base_model_name_or_path": "../model"}'),
    "foreign-code": lambda d: edit_json(
        d / "config.json", auto_map={"AutoModel": "own.Model", "AutoConfig": "org/other--config.Config"}
    ),
    "code-elsewhere": lambda d: edit_json(d / "config.json", auto_map={"AutoModel": "../own.Model"}),
    "listed-code": lambda d: edit_json(d / "config.json", auto_map=["own.Model"]),
}

MINE = "extends: qzhou-zh-mini\nsource: t\n"

PROFILES = {
    "no-text": 'name: x\nsource: t\ntemplate: "abc"\nmax_length: 9\n',
    "list-tasks": "name: x\nextends: qzhou-zh\nsource: t\ntasks: [AFQMC]\n",
    "broken": "name: [\n",
    "a-list": "- name\n",
    "unknown-key": f"name: x\n{MINE}maxlength: 9\n",
    "unknown-type": f"name: x\n{MINE}types: {{Retrieving: {{instruct: none}}}}\n",
    "no-documents": "name: x\nsource: y\nmax_length: 9\ntemplate: {query: '{text}'}\n",
    "for-servers": "name: x\nsource: y\nmax_length: 9\ntemplate: '{text}'\nrequest: {query: {a: 1}}\n",
    "no-title": "name: x\nsource: y\nmax_length: 9\ntemplate: {query: '{text}', document: '{title} {text}'}\n",
    "title-of-queries": "name: x\nsource: y\nmax_length: 9\ntemplate: '{title} {text}'\n",
    "none-with-words": f"name: x\n{MINE}types: {{STS: {{instruct: none, instruction: z}}}}\n",
    "named-checkpoint": f"name: checkpoint\n{MINE}",
    "named-above": f"name: ../../x\n{MINE}",
    "named-absolute": f"name: /x\n{MINE}",
    "named-slash": f"name: a/b\n{MINE}",
    "named-two-lines": f'name: "a\\n"\n{MINE}',
    "named-long": f"name: {'x' * 300}\n{MINE}",
    "unknown-pooling": f"name: x\npooling: sum\n{MINE}",
    "unknown-attention": f"name: x\nattention: both\n{MINE}",
    "prepends-both-ways": "name: x\nextends: qzhou-zh\nsource: t\nattention: bidirectional\n",
    "prompt-without-pooling": f"name: x\ninclude_prompt: false\n{MINE}",
    "extends-above": "name: x\nextends: ../../secret\nsource: t\n",
    "code": f'name: !!python/object/apply:os.rmdir ["ran"]\n{MINE}',
}


def _data(root: Path) -> None:
    """Write the data folders ``data-*``, each with one task's data; ``secret.jsonl`` is good and belongs to none."""
    sts, sentiment = (packaged_tasks()[name].path for name in ("STSB", "MultilingualSentiment"))
    pairs = read_rows(PAIRS)[:40]
    write_rows(root / "secret.jsonl", pairs)
    for name, rows in {
        "none": [row | {"sentence1": None} for row in pairs[:3]] + pairs[3:],
        "number": [row | {"sentence1": 7} for row in pairs],
        "no-labels": [{key: text for key, text in row.items() if key != "score"} for row in pairs],
        "empty": [],
    }.items():
        write_rows(root / f"data-{name}" / sts / "data/test.jsonl", rows)
    write_rows(root / "data-other-split" / sts / "data/validation.jsonl", pairs)
    folder = root / "data-no-json" / sts / "data"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("sentence1\n")
    write_rows(root / "data-above" / sts / "data/test.jsonl", pairs)
    write_header(root / "data-above" / sts, {"default": {"test": "../../../secret.jsonl"}})
    shutil.copytree(root / "data-above", root / "data-bad-header")
    (root / "data-bad-header" / sts / "README.md").write_text("---\nconfigs: [\n---\n")
    for name, kept in {"one-split": ("train", "test"), "no-train": ("validation", "test")}.items():
        for split in kept:
            target = root / f"data-{name}" / sentiment / f"data/{split}.jsonl"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REVIEWS / f"{'train' if split == 'train' else 'test'}.jsonl", target)


def _results(root: Path, finished: Path) -> None:
    (root / "damaged").mkdir()
    (root / "damaged" / "manifest.json").write_text("{")
    entry = {"repositories": {"mteb/STSB": {"kind": "dataset"}}}
    (root / "damaged" / "fetched.json").write_text(json.dumps(entry))
    (root / "published.json").write_text('{"models": [{"model": "a/b", "sco')
    shutil.copytree(finished, root / "finished")
    result = next(shutil.copytree(finished, root / "cut-result").glob("results/*/*/STSB.json"))
    result.write_text(result.read_text("utf-8")[:100], "utf-8")
    for name, change in MANIFESTS.items():
        edit_manifest(shutil.copytree(finished, root / name), change)

    for name, change in RESULTS.items():
        change(shutil.copytree(finished, root / name))
    other = shutil.copytree(finished, root / "other-weights")
    edit_manifest(
        other, lambda variants: [entry["variant"].update(fingerprint="0" * 64) for entry in variants.values()]
    )


def edit_manifest(folder: Path, change) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text("utf-8"))
    change(content["variants"])
    path.write_text(json.dumps(content), "utf-8")


def _first(variants: dict) -> dict:
    return variants[min(variants, key=len)]


def _moved(variants: dict) -> None:
    place = min(variants, key=len)
    variants[f"../finished/{place}"] = variants.pop(place)


def _renamed(variants: dict, name: str) -> None:
    tasks = _first(variants)["tasks"]
    tasks[name] = tasks.pop("STSB")


def _swap_places(variants: dict) -> None:
    one, other = min(variants, key=len), max(variants, key=len)
    variants[one], variants[other] = variants[other], variants[one]


def _mended(folder: Path, change) -> None:
    """Change STSB's result and update its digest to match."""

    def note(variants: dict) -> None:
        place = min(variants, key=len)
        path = folder / place / "STSB.json"
        text = path.read_text("utf-8")
        path.write_text(change(json.loads(text)) or text[:100], "utf-8")
        variants[place]["tasks"]["STSB"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()

    edit_manifest(folder, note)


def _says(**fields) -> Callable[[Path], None]:
    return lambda folder: _mended(folder, lambda content: json.dumps(content | fields))


def _other_split(content: dict) -> str:
    return json.dumps(content | {"scores": {"validation": content["scores"]["test"]}})


def _scored_by(folder: Path, task: str, name: str, version: str) -> None:
    """Make one dimension's result look as if another version had written it, in the file and in the manifest."""

    def note(variants: dict) -> None:
        tasks = variants[min(variants, key=len)]["tasks"]
        tasks[task]["record"][name] = version

    if name == "mteb":
        _says(mteb_version=version)(folder)
    edit_manifest(folder, note)


def _other_data_at_one_dimension(folder: Path) -> None:
    """Make one dimension's result look as if the data had been edited between two runs."""
    _says(dataset_revision="local-other")(folder)
    edit_manifest(folder, lambda variants: _first(variants)["tasks"]["STSB"]["record"].update(data="local-other"))


def _no_room_for_a_report(folder: Path) -> None:
    shutil.rmtree(folder / "report")
    (folder / "report").write_text("")


def _items(folder: Path) -> Path:
    return min(folder.glob("results/*/*/STSB.items.safetensors"))


RESULTS = {
    "no-manifest": lambda d: (d / "manifest.json").unlink(),
    "no-variants": lambda d: (d / "manifest.json").write_text('{"format": 1, "variants": {}}'),
    "cut-mended": lambda d: _mended(d, lambda _: None),
    "other-task": _says(task_name="T2Reranking"),
    "other-mteb": _says(mteb_version="2.1.0"),
    "other-data": _says(dataset_revision="local-0"),
    "other-split": lambda d: _mended(d, _other_split),
    "no-name": lambda d: _mended(d, lambda content: json.dumps({"scores": content["scores"]})),
    "no-room": _no_room_for_a_report,
    "nan-score": lambda d: _mended(d, lambda c: json.dumps(c | {"scores": {"test": [{"main_score": math.nan}]}})),
    "dim-other-data": _other_data_at_one_dimension,
    "two-mtebs": lambda d: _scored_by(d, "STSB", "mteb", "2.1.0"),
    "two-scikits": lambda d: _scored_by(d, "T2Reranking", "scikit_learn", "1.7.2"),
    "no-items": lambda d: _items(d).unlink(),
    "cut-items": lambda d: _items(d).write_bytes(_items(d).read_bytes()[:50]),
}


MANIFESTS = {
    "swapped-places": _swap_places,
    "dim-other-limit": lambda variants: _first(variants)["variant"].update(max_length=512),
    "dim-other-weights": lambda variants: _first(variants)["variant"].update(fingerprint="0" * 64),
    "no-digest": lambda variants: _first(variants)["tasks"]["STSB"].pop("sha256"),
    "no-record": lambda variants: _first(variants)["tasks"]["STSB"]["record"].pop("mteb"),
    "text-machines": lambda variants: _first(variants)["tasks"]["STSB"].update(encoded_with="a machine"),
    "text-profile": lambda variants: _first(variants)["provenance"].update(profile="qzhou-zh"),
    "place-above": _moved,
    "revision-above": lambda variants: _first(variants)["variant"].update(revision="../../.."),
    "model-two-lines": lambda variants: _first(variants)["variant"].update(model="a\nb"),
    "no-experiment": lambda variants: _first(variants)["variant"].pop("experiment"),
    "task-above": lambda variants: _renamed(variants, "../STSB"),
    "task-unknown": lambda variants: _renamed(variants, "STSC"),
}
