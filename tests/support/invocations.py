"""Command lines that cannot work, each with a part of the one line of answer.

Rows marked slow read data in another process, or load the model.
"""

import pytest
from endpoint_invocations import ENDPOINTS
from own_data_invocations import OWN_DATA

RUN = ["run", "--quiet", "--model_name_or_path", "model", "--profile", "qzhou-zh"]  # quiet: no lines about what is sent
RUN = [*RUN, "--output_dir", "out", "--device", "cpu"]

STSB = [*RUN, "--tasks", "STSB"]
MINI = [*RUN, "--profile", "qzhou-zh-mini", "--tasks", "MiniSTS"]
SENTIMENT = [*RUN, "--tasks", "MultilingualSentiment", "--data_dir"]
VERIFY = ["verify", "--model_name_or_path", "model", "--profile", "qzhou-zh"]

FETCH = ["fetch", "--to", "out"]

ABOVE = "../model/model.safetensors is not a file of the same folder"

WHOLE_NUMBERS = ("--max_length", "--batch_tokens", "--workers", "--eval_workers")

# Accepted by int() or str.isdigit(), or by neither.
NO_WHOLE_NUMBERS = ("²", "٣", "1_000", " 5 ", "+5", "0x10", "1e3", "-1", "nan", "inf", "9" * 5000, "", "0", "1.0")


INVOCATIONS = {  # kind -> command line and message
    "flags": [
        ([*RUN, "--tasks", "STBS"], "--tasks STBS: not in cmteb; did you mean STSB?"),
        ([*RUN, "--tasks"], "no task to run"),
        ([*RUN, "--tasks", "STSB", "--task_types", "Retrieval"], "no task to run"),
        ([*RUN, "--task_types", "Retreival"], "did you mean Retrieval?"),
        ([*STSB, "--data_dir", "empty-data"], "fetch it with: qzhou-eval fetch --tasks STSB --to "),
        ([*STSB, "--data_dir", "nowhere"], "nowhere: no such folder"),
        pytest.param([*STSB, "--data_dir", "data-none"], "row 0 (from 0), column sentence1 is", marks=pytest.mark.slow),
        pytest.param([*STSB, "--data_dir", "data-number"], "not text", marks=pytest.mark.slow),
        ([*MINI, "--dim", "97"], "--dim 97: the model's vectors have 96 dimensions"),
        ([*MINI, "--dim", "0"], "--dim 0"),
        ([*MINI, "--dim", "wide"], "--dim wide: give numbers"),
        ([*MINI, "--dim", "-5"], "--dim"),
        ([*MINI, "--profile", "qzhou"], "did you mean qzhou-zh?"),
        ([*MINI, "--profile", "no-text.yaml"], "{text} exactly once"),
        ([*MINI, "--profile", "qzhou-zh"], "no instruction for MiniSTS"),
        ([*MINI, "--tp_layers", "1-9"], "layers 0 to 8"),
        ([*MINI, "--tp_layers", "7"], "give a layer range such as 1-7"),
        ([*MINI, "--tp_layers", "1-7", "--token_prepending", "off"], "contradicts"),
        ([*MINI, "--token_prepending", "maybe"], "'maybe': choose auto, on, off or layers such as 1-7"),
        ([*MINI, "--token_prepending", "off", "7-1"], "argument --token_prepending: '7-1': choose auto"),
        ([*MINI, "--normalize", "perhaps"], "give true or false"),
        *(([*MINI, "--max_length", value], "--max_length: ") for value in NO_WHOLE_NUMBERS),
        *(([*MINI, flag, "²"], f"{flag}: '²': give a whole number") for flag in WHOLE_NUMBERS),
        *(([*MINI, "--dim", value], f"--dim {value}: ") for value in NO_WHOLE_NUMBERS),
        *(([*MINI, "--tp_layers", f"1-{value}"], "--tp_layers") for value in NO_WHOLE_NUMBERS),
        *(
            ([*MINI, "--ray", f"127.0.0.1:{value}"], "give the head node's HOST:PORT")
            for value in ("٣", "-1", "1e3", "")
        ),
        *(
            (["check", "finished", "--baseline", "b", flag, value], f"{flag}: ")
            for flag in ("--tolerance", "--min_cosine")
            for value in ("1_0", " 0.5", "٣", "0x1", "+0.5", "nan", "inf", "-2", "1e9", "")
        ),
    ],
    "paths": [
        *(
            ([*MINI, flag, ""], f"{flag}: is empty")
            for flag in ("--output_dir", "--store_dir", "--data_dir", "--revision")
        ),
        ([*MINI, "--model_name_or_path", ""], "--model_name_or_path: is empty"),
        ([*MINI, "--profile", ""], "--profile: is empty"),
        ([*MINI, "--data_dir", "a-file"], "a-file: is a file, not a folder"),
        ([*MINI, "--output_dir=~nobody-here/x"], "~nobody-here/x: no such user"),
        (["report", ""], "is empty"),
        (["report", "a-file"], "a-file: left out, it is not a JSON file that can be read"),
        (["report", "nowhere"], "nowhere: no results there"),
        (["compare", "finished", "--to", ""], "--to: is empty"),
        (["compare", "finished", "--to", "nowhere"], "--to nowhere: give published"),
        (["export", "finished", "--to", ""], "--to: is empty"),
        (["export", "finished", "--to", "out", "--model_name", ""], "--model_name: is empty"),
        (["check", "finished", "--baseline", "empty-data"], "--baseline: empty-data: is a folder; name a file"),
        (["check", "finished", "--baseline", "b", "--junit", "out/"], "--junit: out/: is a folder; name a file"),
        ([*VERIFY, "--save", "out/"], "--save: out/: is a folder; name a file"),
        ([*FETCH, "--to", ""], "--to: is empty"),
    ],
    "names": [
        ([*RUN, "--tasks", "stsb"], "--tasks stsb: not in cmteb; did you mean STSB?"),
        ([*RUN, "--tasks", "t2RERANKING"], "did you mean T2Reranking?"),
        ([*RUN, "--tasks", "STSB,AFQMC"], "separate names by spaces"),
        ([*RUN, "--tasks", ""], "--tasks : not in cmteb"),
        ([*RUN, "--task_types", "sts"], "did you mean STS?"),
        ([*MINI, "--profile", "empty-data"], "--profile empty-data: no such profile"),
        ([*MINI, "--profile", "./empty-data"], "--profile ./empty-data: not a .yaml file"),
        ([*MINI, "--profile", "./a-file"], "--profile ./a-file: not a .yaml file"),
        ([*MINI, "--profile", "folder.yaml"], "--profile folder.yaml: is a folder"),
        (["report", "finished", "--lang", "de"], "invalid choice: 'de'"),
        ([*MINI, "--max_length", "3"], "--max_length: too short for the template"),
        ([*MINI, "--revision", "main"], "model is a folder; only models on the hub have revisions"),
        ([*MINI, "--model_name_or_path", "cut-weights"], "model.safetensors: damaged or incomplete"),
        (
            [*MINI, "--model_name_or_path", "two-dense"],
            "in_features is 64, but the vectors before it have 96 components",
        ),
        ([*MINI, "--model_name_or_path", "quantised"], "config.json: quantised (gptq)"),
        ([*MINI, "--model_name_or_path", "lstm"], "cannot run modules Transformer, Pooling, LSTM"),
        ([*MINI, "--model_name_or_path", "two-poolings"], "pooling cls and mean; supported is one of last token, cls,"),
        ([*MINI, "--model_name_or_path", "no-prompt-flag"], "include_prompt is 'no'; expected true or false"),
        ([*MINI, "--model_name_or_path", "both-ways"], "token prepending needs a causal decoder"),
        ([*MINI, "--device", "cuda:x"], "choose auto, cpu, cuda or cuda:N"),
        ([*MINI, "--profile", "list-tasks.yaml"], "expected a mapping of task names"),
        ([*MINI, "--batch_tokens", "-1"], "--batch_tokens: '-1'"),
        ([*MINI, "--attention", "flash"], "invalid choice: 'flash'"),
        ([*MINI, "--evaluators", "ours"], "invalid choice: 'ours'"),
        ([*MINI, "--fp8"], "--fp8: needs bfloat16 weights, not float32"),
        ([*MINI, "--workers", "0"], "--workers: '0': give a whole number from 1 to 4096"),
        ([*MINI, "--workers", "2", "--device", "cuda:1"], "--device cuda:1: --workers gives each worker its own GPU"),
        ([*MINI, "--ray", "nonsense"], "--ray nonsense: give the head node's HOST:PORT, or auto"),
        ([*MINI, "--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: no cluster there"),
        ([*MINI, "--device", "tpu"], "--device tpu"),
        ([*MINI, "--device", "cuda"], "torch sees 0 GPUs"),
        ([*MINI, "--dtype", "int8"], "invalid choice: 'int8'"),
        ([*MINI, "--output_dir", "a-file"], "--output_dir: a-file: a-file is a file, not a folder"),
        ([*MINI, "--store_dir", "a-file/store"], "a-file is a file, not a folder"),
        ([*MINI, "--model_name_or_path", "no-model"], "config.json is missing"),
        ([*MINI, "--model_name_or_path", "nowhere"], "no such folder"),
        ([*MINI, "--model_name_or_path", "no-placeholder"], "no token <|im_start|>"),
        ([*MINI, "--model_name_or_path", "org/not-there"], "the hub cannot be reached"),
        ([*MINI, "--output_dir", "damaged"], "manifest.json: damaged"),
        pytest.param(["evaluate", *MINI[1:]], "prompts are not in the store; run encode", marks=pytest.mark.slow),
        (["run"], "--model_name_or_path"),
        ([], "COMMAND"),
        (["rum"], "invalid choice: 'rum'"),
        (["report", "empty-data"], "no results there"),
        (["report", "damaged"], "damaged"),
        (
            [*VERIFY, "--against", "nowhere"],
            "nowhere: no such file; give remote, sentence-transformers, a server's URL",
        ),
        ([*VERIFY, "--against", "a-file"], "a-file: damaged, or not a file that --save wrote"),
        ([*VERIFY, "--against", "model/model.safetensors"], "not a file that --save wrote"),
        ([*VERIFY, "--against", "remote"], "names no code of its own"),
        ([*VERIFY, "--save", "a-file/probe"], "--save: a-file: a-file is a file, not a folder"),
        ([*VERIFY, "--save", "empty-data"], "--save: empty-data: is a folder"),
        ([*VERIFY, "--device", "tpu"], "--device tpu"),
        ([*VERIFY, "--model_name_or_path", "no-placeholder"], "no token <|im_start|>"),
        (["compare", "empty-data"], "no results there"),
        (["compare", "damaged"], "manifest.json: damaged"),
        (["compare"], "RESULTS"),
        (["export", "empty-data", "--to", "out"], "no results there"),
        (["export", "damaged", "--to", "out"], "manifest.json: damaged"),
        (["export", "damaged"], "--to"),
        ([*MINI, "--mteb", "old"], "invalid choice: 'old'"),
        (["fetch"], "--to"),
        (["fetch", "--to", "a-file"], "--to: a-file: a-file is a file, not a folder"),
        (["fetch", "--to", "empty-data", "--verify"], "empty-data: nothing was fetched there"),
        (["fetch", "--to", "damaged", "--verify"], "fetched.json: damaged"),
        ([*STSB, "--data_dir", "damaged"], "no data in"),
        ([*STSB, "AFQMC", "--data_dir", "damaged"], "AFQMC, STSB: no data in "),
        ([*FETCH, "--tasks", "STBS"], "--tasks STBS: no task of mteb 2.26.24; did you mean STSB?"),
        ([*FETCH, "--tasks"], "nothing to fetch: --tasks has no name"),
        ([*FETCH, "--tasks", "MiniSTS"], "MiniSTS: its files are on this machine; nothing to fetch"),
        ([*FETCH, "--benchmark", "mteb"], "--benchmark mteb: not in mteb 2.26.24; did you mean MTEB?"),
        ([*FETCH, "--model", "../.."], "--model ../..: not of the form ORG/NAME"),
        ([*FETCH, "--revision", "main"], "--revision main: only for --model"),
        (FETCH, "fetch needs the network, but HF_HUB_OFFLINE is set"),
        (
            ["prompts", "show", "AFQMD"],
            "error: TASK AFQMD: unknown, unless --benchmark names its benchmark; did",
        ),
    ],
    "checkpoints": [
        *(
            ([*MINI, "--model_name_or_path", name], message)
            for name, message in {
                "bad-config": "cannot read bad-config/config.json",
                "bin-weights": "bin-weights: its weights are a pickle, which can hold code; --allow_pickle reads it",
                "no-modules": "modules.json: a module without type or path",
                "module-above": "the path ../../elsewhere leads out of the model's folder",
                "module-absolute": "leads out of the model's folder",
                "shards-elsewhere": f"weight_map: {ABOVE}",
                "weights-elsewhere": f"transformers_weights: {ABOVE}",
                "tokenizer-elsewhere": "../model/tokenizer.1.0.json is not a file of the same folder",
                "adapter": "adapter_config.json: an adapter beside a whole model",
                "listed-code": "auto_map is not a mapping",
                "no-projection": "no-projection/2_Dense: its weights are a pickle",
                "half-projection": "half-projection/2_Dense/config.json: no in_features",
                "Bytedance/Seed1.6-embedding": "this model has no open weights; its protocol",
                "org/..": "--model_name_or_path org/..: no such folder, and not a valid name on the hub",
                "a b/<script>": "--model_name_or_path a b/<script>: no such folder",
                "two\nlines": "--model_name_or_path two lines: no such folder",
            }.items()
        ),
        *(
            pytest.param([*MINI, "--model_name_or_path", name], message, marks=pytest.mark.slow)
            for name, message in {
                "bad-heads": "num_attention_heads",
                "no-tokenizer": "no-tokenizer: cannot load the tokenizer",
                "bad-tokenizer": "bad-tokenizer: cannot load the tokenizer",
                "wide-projection": "wide-projection/2_Dense: the stored linear.weight has shape (96, 65)",
                "missing-tensor": "1 tensors missing (norm.weight)",
                "extra-tensor": "1 tensors unexpected (more)",
            }.items()
        ),
        ([*MINI, "--model_name_or_path", "foreign-code", "--trust_remote_code"], "code from another repository"),
        (
            [*MINI, "--model_name_or_path", "code-elsewhere", "--trust_remote_code"],
            "is not a FILE.CLASS in the same folder",
        ),
    ],
    "endpoints": ENDPOINTS,
    "own data": OWN_DATA,
    "profiles": [
        (
            [*MINI, "--tasks", "MiniReranking", "--profile", "no-documents.yaml"],
            "MiniReranking: profile no-documents.yaml has no template for documents",
        ),
        (
            [*MINI, "--tasks", "MiniReranking", "--profile", "no-title.yaml"],
            "MiniReranking: profile no-title.yaml: its template has {title}, but a document has none; give no_title",
        ),
        *(
            ([*MINI, "--profile", name], message)
            for name, message in {
                "nowhere.yaml": "--profile nowhere.yaml: no such file",
                "broken.yaml": "broken.yaml, line 2: not a YAML file",
                "for-servers.yaml": "its request is for servers (--endpoint), not for a model here",
                "a-list.yaml": "expected a mapping of profile fields",
                "unknown-key.yaml": "unknown-key.yaml, line 4: maxlength: unknown field; did you mean max_length?",
                "named-above.yaml": "named-above.yaml, line 1: name: String should match",
                "unknown-type.yaml": "unknown-type.yaml, line 4: types: unknown type Retrieving; known: Retrieval",
                "title-of-queries.yaml": "{title} can be in the document's template alone, and once",
                "none-with-words.yaml": "line 4: types.STS: both and queries need an instruction, and none has none",
                "named-checkpoint.yaml": "name: checkpoint is the profile that is made from a model's files",
                "named-absolute.yaml": "name: String should match",
                "named-slash.yaml": "name: String should match",
                "named-two-lines.yaml": "name: String should match",
                "named-long.yaml": "name: String should have at most 80 characters",
                "unknown-pooling.yaml": "pooling: Input should be 'last token', 'cls', 'mean', 'weighted mean' or",
                "unknown-attention.yaml": "attention: Input should be 'causal' or 'bidirectional'",
                "prepends-both-ways.yaml": "token_prepending needs causal attention",
                "prompt-without-pooling.yaml": "include_prompt needs a pooling",
                "extends-above.yaml": "--profile ../../secret: no such profile",
                "code.yaml": "code.yaml, line 1: not a YAML file",
                "../../x": "--profile ../../x: no such profile",
                "../task_instructions/plain": "no such profile",
            }.items()
        ),
    ],
    "data": [
        *(
            pytest.param([*STSB, "--data_dir", f"data-{name}"], message, marks=pytest.mark.slow)
            for name, message in {
                "no-labels": "there is no column score",
                "empty": "test.jsonl is empty",
                "other-split": "there is no split test, only validation",
                "no-json": "row 0 (from 0) is not a JSON object",
                "above": "README.md: configs names ../../../secret.jsonl; only files in the same folder are read",
                "bad-header": "README.md: its header cannot be read",
            }.items()
        ),
        pytest.param([*SENTIMENT, "data-one-split"], "there is no split validation", marks=pytest.mark.slow),
        pytest.param([*SENTIMENT, "data-no-train"], "there is no split train", marks=pytest.mark.slow),
    ],
    "results": [
        (["export", "no-manifest", "--to", "out"], "no-manifest: no results there (no manifest.json)"),
        (["compare", "finished", "--to", "published.json"], "published.json: not a file of published scores"),
        *(
            ([*verb, name], message)
            for verb in (["report"], ["compare"], ["export", "--to", "out", "--model_name", "a/b"])
            for name, message in {
                "place-above": "place-above/manifest.json: damaged",
                "revision-above": "revision-above/manifest.json: damaged",
                "model-two-lines": "model-two-lines/manifest.json: damaged",
                "no-experiment": "no-experiment/manifest.json: damaged",
                "task-above": "task-above/manifest.json: damaged",
                "swapped-places": "swapped-places/manifest.json: damaged",
                "no-digest": "no-digest/manifest.json: damaged",
                "no-record": "no-record/manifest.json: damaged",
                "text-machines": "text-machines/manifest.json: damaged",
                "text-profile": "text-profile/manifest.json: damaged",
                "no-variants": "no-variants: no results there",
            }.items()
        ),
        *(
            (["report", *names.split()], message)
            for names, message in {
                "no-room": "no-room/report: the report cannot be written there",
                "dim-other-data": "STSB.json: different data than ",
                "dim-other-limit": "made with a different max_length than ",
                "dim-other-weights": "made with a different fingerprint than ",
                "two-mtebs": "STSB.json: scored by mteb 2.1.0, most other results by 2.",
                "two-scikits": "T2Reranking.json: scored by scikit_learn 1.7.2, most other results by 1.8",
                "finished finished": ".json: was already read from another folder, finished/results/local__tiny",
                "finished other-weights": "made with a different fingerprint than finished/results/local__tiny",
            }.items()
        ),
        ([*STSB, "--output_dir", "place-above"], "place-above/manifest.json: damaged"),
        ([*STSB, "--output_dir", "task-above"], "task-above/manifest.json: damaged"),
    ],
}
