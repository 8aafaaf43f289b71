"""Limits that a model folder states, and its code that is not run: each is reported in one line."""

import json
import logging

from checkpoints import edit_json
from model_folders import come_in, warnings_of

from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.settings import EncoderOptions, resolve_settings
from qzhou_eval.protocol.profile_files import load_profile


def test_more_tokens_than_the_folder_states_are_one_warning(folder, caplog):
    edit_json(folder / "sentence_bert_config.json", max_seq_length=256)
    edit_json(folder / "tokenizer_config.json", model_max_length=300)
    edit_json(folder / "config.json", max_position_embeddings=512)
    come_in(folder)
    (said,) = warnings_of(caplog)
    assert said == (
        "profile plain: 1024 tokens, more than local/model states: 256 (sentence_bert_config.json, max_seq_length); "
        "300 (tokenizer_config.json, model_max_length); 512 (config.json, positions)"
    )


def test_fewer_tokens_than_sentence_transformers_would_send_are_said(folder, caplog):
    edit_json(folder / "sentence_bert_config.json", max_seq_length=256)
    with caplog.at_level(logging.INFO):
        come_in(folder, max_length=128)
    assert "max_length: 128 tokens; sentence-transformers would send up to 256 (sentence_bert" in caplog.text
    assert warnings_of(caplog) == []


def test_no_limit_at_all_is_no_warning(folder, caplog):
    edit_json(folder / "tokenizer_config.json", model_max_length=10**30)
    come_in(folder)
    assert warnings_of(caplog) == []


def test_code_that_is_not_run_is_one_line_with_every_class(folder, caplog):
    edit_json(folder / "config.json", auto_map={"AutoModel": "modeling_own.Model", "AutoConfig": "modeling_own.Config"})
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Slow", None]})
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[0]["type"] = "custom_st.Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    come_in(folder, "qzhou-zh")
    (said,) = warnings_of(caplog)
    assert "not run: custom_st.Transformer (modules.json), modeling_own.Model (config.json), own.Slow (tok" in said
    assert "attention, pooling, token prepending" in said
    assert "Token prepending is applied by this harness, on layers 1-7. To run" in said
    assert "trust_remote_code=True" in said


def test_the_decoders_code_is_not_named_where_it_runs(folder, caplog):
    edit_json(folder / "config.json", auto_map={"AutoModel": "modeling_own.Model"})
    (folder / "modeling_own.py").write_text("class Model: ...")
    checkpoint = find_checkpoint(str(folder), trust_remote_code=True)
    resolve_settings(checkpoint, load_profile("qzhou-zh"), EncoderOptions(trust_remote_code=True))
    assert warnings_of(caplog) == []
