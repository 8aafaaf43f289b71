"""Vectors through a server: those of the encoder behind it, whatever faults the server shows on the way."""

import email.utils
import re
import threading
import time

import numpy as np
import pytest
from embedding_server import Fault, Served, serving
from endpoint_runs import TASKS, command, run_scores

from qzhou_eval import cli
from qzhou_eval.encode.char_ngrams import vectors as ngrams
from qzhou_eval.encode.endpoint import client as client_module
from qzhou_eval.encode.endpoint.client import Client
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.errors import BadInput
from qzhou_eval.results.reader import read_recorded

HTML = b"<html><head><title>Welcome</title></head><body>nginx</body></html>"

pytestmark = pytest.mark.usefixtures("impatient")


def stored(output) -> dict[bytes, np.ndarray]:
    (found,) = read_recorded(output)[:1]
    store = Store(output / "store", found.variant.fingerprint)
    store.refresh()
    keys = store.keys()
    return dict(zip(keys, store.get(keys).numpy(), strict=True))


@pytest.mark.parametrize("base64", [True, False])
def test_a_run_through_a_server_has_the_encoders_scores(server, expected, tmp_path, base64):
    server.base64 = base64
    assert cli.main(command(server, tmp_path, "--dim", "64", "256")) == 0
    assert run_scores(tmp_path) == expected
    (found, _) = read_recorded(tmp_path)
    assert found.variant.model == "endpoint/ngrams" and found.variant.revision.startswith("probe-")
    model = found.entry["provenance"]["model"]
    assert (model["endpoint"], model["served_model"], model["probe_texts"]) == (server.url, "ngrams", 40)


def test_vectors_are_bitwise_those_of_the_server(server, tmp_path):
    assert cli.main(command(server, tmp_path, tasks=["MiniSTS"])) == 0
    texts = sorted({text for body in server.bodies for text in body["input"]})
    by_key = {prompt_key(text): vector for text, vector in zip(texts, ngrams(texts), strict=True)}
    kept = stored(tmp_path)
    assert len(kept) > 100
    for key, vector in kept.items():
        np.testing.assert_array_equal(vector, by_key[key])


BUSY = {
    "rate limit": Fault(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.2"}),
    "still loading": Fault(503, {"message": "Model is loading", "code": 503}),
    "bad gateway": Fault(502, b"<html>502 Bad Gateway</html>"),
    "one crash": Fault(500, {"error": "inference failed"}),
    "cut in the middle": Fault(cut=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUSY)
def test_what_passes_is_waited_for(server, expected, tmp_path, kind, caplog):
    server.faults = {number: BUSY[kind] for number in (45, 46, 50)}
    assert cli.main(command(server, tmp_path, "--dim", "64", "256")) == 0
    assert run_scores(tmp_path) == expected
    waited = [line for line in caplog.messages if "trying again" in line]
    assert 1 <= len(waited) <= 3


@pytest.mark.slow
def test_a_server_that_loads_its_model_for_ten_seconds(server, expected, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(client_module, "PATIENCE", 60.0)
    server.loading_until = time.monotonic() + 10
    assert cli.main(command(server, tmp_path, "--dim", "64", "256")) == 0
    assert run_scores(tmp_path) == expected
    assert len([line for line in caplog.messages if "Model is loading; trying again for up to 60 s" in line]) == 1


def test_a_wait_that_the_server_asks_for_is_kept(server):
    server.faults = {0: Fault(429, {}, {"Retry-After": "0.5"}), 1: Fault(503, {}, {"Retry-After": "soon"})}
    start = time.monotonic()
    Client(server.url, None).embeddings({"model": "ngrams", "input": ["a"]})
    assert time.monotonic() - start >= 0.5
    assert len(server.bodies) == 3


def test_a_wait_that_is_longer_than_anybody_would_wait_ends_the_run(server, caplog):
    server.faults = {None: Fault(429, {"error": "quota"}, {"Retry-After": "86400"})}
    with pytest.raises(BadInput, match=r"answered 429: quota \(asks to wait 86,400 s\); what is done is kept"):
        Client(server.url, None).embeddings({"model": "ngrams", "input": ["a"]})


def test_a_date_to_wait_for_is_kept():
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 28 <= client_module._retry_after(soon) <= 31
    assert client_module._retry_after("soon") == client_module._retry_after("nan") == 0


def out_of_order(data):
    return data[::-1]


@pytest.mark.slow
def test_vectors_in_another_order_are_put_back_by_their_index(server, expected, tmp_path):
    server.faults = {None: Fault(change=out_of_order)}
    assert cli.main(command(server, tmp_path, "--dim", "64", "256")) == 0
    assert run_scores(tmp_path) == expected


def nan(data):
    return [data[0] | {"embedding": [float("nan")] * 256}, *data[1:]]


FAILS_A_TASK = {
    "too few": (Fault(change=lambda data: data[:-1]), r"the server gave \d+ vectors for \d+ texts"),
    "NaN": (Fault(change=nan), "the model gave NaN or infinity"),
    "null": (
        Fault(change=lambda data: [one | {"embedding": None} for one in data]),
        "the server gave None for a vector",
    ),
    "twice the same": (Fault(change=lambda data: [one | {"index": 0} for one in data]), "have the indexes"),
    "another width": (
        Fault(change=lambda data: [one | {"embedding": [1.0] * 9} for one in data]),
        "a vector of 9 components, others have 256",
    ),
    "always crashing": (Fault(500, {"error": "CUDA error"}), "answered 500: CUDA error"),
    "no vectors": (Fault(body={"object": "error"}), "no list of vectors"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAILS_A_TASK)
def test_what_is_wrong_fails_a_task_and_the_same_command_resumes(server, expected, tmp_path, kind, caplog):
    fault, message = FAILS_A_TASK[kind]
    server.faults = {number: fault for number in range(60, 200)}
    assert cli.main(command(server, tmp_path, "--dim", "64", "256")) == 3
    assert re.search(message, caplog.text) and "Traceback" not in caplog.text
    server.faults, before = {}, len(server.bodies)
    assert cli.main(command(server, tmp_path, "--dim", "64", "256")) == 0
    assert run_scores(tmp_path) == expected
    assert before < len(server.bodies)


ENDS = {
    "401 at once": (Served(key="right"), "it wants a key; put it into QZHOU_EVAL_API_KEY"),
    "several models": (Served(models=("one", "two")), "has one, two; give --endpoint_model NAME"),
    "none": (Served(models=()), "lists no models; give --endpoint_model NAME"),
    "HTML": (Served(faults={None: Fault(body=HTML)}), "answered with text/html, not JSON"),
    "NaN from the start": (Served(faults={None: Fault(change=nan)}), "the server gave NaN or infinity for text 1"),
    "refuses all": (Served(refuses=lambda body: "not an embedding model"), "422: not an embedding model"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_what_cannot_work_is_one_line_before_anything_is_written(tmp_path, kind, capsys):
    served, message = ENDS[kind]
    with serving(served):
        assert cli.main(command(served, tmp_path / "out")) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_refused_with_those_that_are_there(server, tmp_path, capsys):
    server.models = ("bge-m3", "e5")
    assert cli.main(command(server, tmp_path / "out", "--endpoint_model", "bgem3")) == 2
    err = capsys.readouterr().err
    assert "The model `bgem3` does not exist." in err and "models there: bge-m3, e5" in err


def test_nobody_there_is_one_line(server, tmp_path, capsys):
    url = server.url
    with serving(Served()) as gone:
        pass
    assert url != gone.url
    assert cli.main(command(gone, tmp_path / "out", "--endpoint_model", "x")) == 2
    assert "no answer (ConnectError" in capsys.readouterr().err


@pytest.mark.slow
def test_another_model_behind_the_same_name_is_not_mixed_in(server, tmp_path, capsys):
    assert cli.main(command(server, tmp_path, tasks=["MiniSTS"])) == 0
    kept = stored(tmp_path)
    coarse = lambda texts, body: np.round(ngrams(texts) / np.linalg.norm(ngrams(texts), axis=1)[:, None], 2)  # noqa: E731
    server.encode = coarse
    assert cli.main(command(server, tmp_path, tasks=TASKS)) == 2
    err = capsys.readouterr().err
    assert "the server gives other vectors than those in the store" in err and "texts of the probe moved" in err
    assert stored(tmp_path).keys() == kept.keys()
    server.encode = lambda texts, body: ngrams(texts) * (1 + 1e-4 * np.arange(256, dtype=np.float32) / 256)  # rounding
    assert cli.main(command(server, tmp_path, tasks=TASKS)) == 0


def test_evaluate_alone_asks_nobody(tmp_path):
    with serving(Served()) as served:
        assert cli.main(command(served, tmp_path, verb="encode", tasks=["MiniSTS"])) == 0
    argv = command(served, tmp_path, "--endpoint_model", "ngrams", verb="evaluate", tasks=["MiniSTS"])
    assert cli.main(argv) == 0
    assert len(run_scores(tmp_path)) == 1


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back_gives_the_same_scores(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "PATIENCE", 30.0)
    first = Served(encode=lambda texts, body: time.sleep(0.02) or ngrams(texts))
    second = Served()
    with serving(first):
        port = int(first.url.rsplit(":", 1)[1].split("/")[0])
        codes = []
        argv = command(first, tmp_path, "--dim", "64", "256", "--endpoint_requests", "1")
        client = threading.Thread(target=lambda: codes.append(cli.main(argv)))
        client.start()
        while len(first.bodies) < 60:
            time.sleep(0.01)
    time.sleep(0.5)
    with serving(second, port):
        client.join()
    assert codes == [0] and second.bodies
    assert run_scores(tmp_path) == expected
