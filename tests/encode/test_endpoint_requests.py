"""What a server is sent: the key, the fields, the side, the limit, as many texts as it takes; and what a plan says."""

import json
import logging
import time

import pytest
from embedding_server import Served, serving
from endpoint_runs import command, run_scores

from qzhou_eval import cli
from qzhou_eval.encode.char_ngrams import vectors as ngrams
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model.profile_choice import named_choice

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.slow
def test_the_key_is_sent_and_stands_nowhere(tmp_path, monkeypatch, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    key = "sk-very-secret-9f2c"
    with serving(Served(key=key)) as served:
        monkeypatch.setenv("MY_KEY", key)
        assert cli.main(command(served, tmp_path, "--api_key_env", "MY_KEY", "--verbose", tasks=["MiniSTS"])) == 0
        served.key = "another"
        assert cli.main(command(served, tmp_path, "--api_key_env", "MY_KEY", "--reencode", tasks=["MiniSTS"])) == 2
    out, err = capsys.readouterr()
    assert "Incorrect API key provided: [key]." in err and "the key is not accepted" in err
    said = out + err + caplog.text
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key not in said and key.encode() not in files


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_server_that_takes_few_texts_gets_smaller_requests(server, expected, tmp_path, status):
    server.refusal = status
    server.refuses = lambda body: "batch size > maximum allowed batch size 5" if len(body["input"]) > 5 else None
    assert cli.main(command(server, tmp_path, "--dim", "64", "256")) == 0
    assert run_scores(tmp_path) == expected
    sizes = [len(body["input"]) for body in server.bodies]
    assert sum(size > 5 for size in sizes) < 20  # it learns


def test_fields_that_a_server_refuses_are_left_out(server, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    server.refuses = lambda body: "unknown field" if {"truncate", "encoding_format"} & body.keys() else None
    assert cli.main(command(server, tmp_path, tasks=["MiniSTS"])) == 0
    assert server.bodies[-1].keys() == {"model", "input"}
    assert "left to the server, which takes no limit" in caplog.text


@pytest.mark.slow
def test_a_side_goes_with_the_texts_where_the_profile_says_so(tmp_path, expected):
    profile = tmp_path / "sides.yaml"
    profile.write_text(
        "{name: sides, source: t, template: '{text}', max_length: 512,"
        " request: {query: {model: q}, document: {model: d, input_type: passage}}}"
    )

    def encode(texts, body):
        return ngrams(texts) * (-1 if body["model"] == "d" else 1)

    with serving(Served(encode=encode, models=("q", "d"))) as served:
        argv = command(served, tmp_path / "out", "--endpoint_model", "q", "--profile", str(profile))
        assert cli.main(argv) == 0
    scores = run_scores(tmp_path / "out")
    assert scores["MiniSTS", 256] == expected["MiniSTS", 256]
    assert scores["MiniReranking", 256] != expected["MiniReranking", 256]  # each document points the other way
    sent = {(body["model"], body.get("input_type")) for body in served.bodies}
    assert sent == {("q", None), ("d", "passage")}
    assert not any(text.startswith("[") for body in served.bodies for text in body["input"] if "query" in text)


def test_the_limit_is_applied_here_with_the_models_tokenizer(server, tmp_path, tokenizer, caplog):
    caplog.set_level(logging.INFO)
    argv = command(server, tmp_path, "--tokenizer", str(CHECKPOINT), "--max_length", "6", tasks=["MiniSTS"])
    assert cli.main(argv) == 0
    counts = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for b in server.bodies for text in b["input"]]
    assert max(counts) == 6
    assert "cut here" in caplog.text and not any("truncate" in body for body in server.bodies)


def test_the_plan_says_requests_tokens_and_price_and_writes_nothing(server, tmp_path, capsys):
    argv = command(server, tmp_path / "out", "--price_per_million_tokens", "2.5", verb="plan")
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert "requests of up to 32 texts, about" in out and "at 2.5 per million tokens" in out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "profile", "why"),
    [
        ("BAAI/bge-large-zh-v1.5", "bge-zh-v1.5", "the one of BAAI/bge-large-zh-v1.5"),
        ("/models/bge-large-zh-v1.5", "bge-zh-v1.5", "by its name it is BAAI/bge-large-zh-v1.5"),
        ("bge-m3:latest", "plain", "no shipped profile names bge-m3:latest"),
    ],
)
def test_a_model_gets_the_profile_of_its_name(name, profile, why):
    choice = named_choice(None, name, otherwise="plain")
    assert choice.profile.name == profile and choice.why.startswith(why)


@pytest.mark.parametrize("cuts", [True, False])
def test_whether_the_servers_own_dimensions_are_the_cut_ones_is_said(tmp_path, caplog, cuts):
    caplog.set_level(logging.INFO)

    def encode(texts, body):
        full, dim = ngrams(texts), body.get("dimensions", 256)
        return full[:, :dim] if cuts or dim == 256 else full[:, ::-1][:, :dim]

    with serving(Served(encode=encode)) as served:
        assert cli.main(command(served, tmp_path, "--dim", "64", tasks=["MiniSTS"])) == 0
    said = "is the same (least cosine 1.00000" if cuts else "is NOT the same: an API need not cut"
    assert f"dimension 64 is cut here; the server's own {said}" in caplog.text


@pytest.mark.slow
def test_requests_are_sent_at_the_same_time(server, tmp_path):
    under_way, most = [], []

    def encode(texts, body):
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.05)
        under_way.pop()
        return ngrams(texts)

    server.encode = encode
    assert cli.main(command(server, tmp_path, "--endpoint_requests", "4", tasks=["MiniSTS"])) == 0
    assert max(most) == 4


def test_a_name_that_the_server_does_not_list_is_said(tmp_path, caplog):
    with serving(Served(models=("ngrams", "other", "ngrms"), listed=("ngrams", "other"))) as served:
        argv = command(served, tmp_path, "--endpoint_model", "ngrms", tasks=["MiniSTS"])
        assert cli.main(argv) == 0
    assert "lists ngrams, other, not ngrms; it is asked for all the same" in caplog.text


def test_a_recorded_request_is_json(server, tmp_path):
    fields = {"user": "test", "priority": 3}
    assert cli.main(command(server, tmp_path, "--request_fields", json.dumps(fields), tasks=["MiniSTS"])) == 0
    assert all(fields.items() <= body.items() for body in server.bodies)
