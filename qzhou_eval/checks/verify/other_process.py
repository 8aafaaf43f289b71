"""The other side's process: a folder loaded through sentence-transformers, with or without its own code.

    python -m qzhou_eval.checks.verify.other_process JOB.json REPLY.safetensors

Only this process runs remote code. It is given rendered prompts and adds nothing to them; what
sentence-transformers itself adds or cuts shows in the token ids of the reply.
"""

import gc
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from qzhou_eval.checks.verify.statement import PRECISIONS
from qzhou_eval.errors import BadInput


@dataclass(frozen=True)
class Reply:
    """The other side's reply: token ids per prompt, number of parameters, per precision float32 vectors (n, width)."""

    ids: list[list[int]]
    parameters: int
    vectors: dict[str, np.ndarray]


def ask(folder: Path, prompts: list[str], *, device: str, max_length: int, remote_code: bool) -> Reply:
    """Embed rendered prompts in another process, in both precisions, one prompt at a time, not normalised.

    Raises:
        BadInput: the process failed; its last line says why.
    """
    job = {"folder": str(folder), "device": device, "max_length": max_length}
    job |= {"remote_code": remote_code, "prompts": prompts}
    with TemporaryDirectory() as scratch:
        job_file, reply_file = Path(scratch, "job.json"), Path(scratch, "reply.safetensors")
        job_file.write_text(json.dumps(job), "utf-8")
        command = [sys.executable, "-m", "qzhou_eval.checks.verify.other_process", str(job_file), str(reply_file)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last_words = done.stderr.strip().splitlines()[-1:]
            reason = "killed (out of memory?)" if done.returncode < 0 else "".join(last_words)
            raise BadInput(f"{folder}: loading it through sentence-transformers failed: {reason}")
        with safe_open(reply_file, framework="np") as file:
            said = json.loads(file.metadata()["reply"])
            return Reply(said["ids"], said["parameters"], {dtype: file.get_tensor(dtype) for dtype in PRECISIONS})


def main(job_file: str, reply_file: str) -> None:
    """Do one job, one precision after the other."""
    job = json.loads(Path(job_file).read_text("utf-8"))
    vectors = {}
    for dtype in PRECISIONS:
        vectors[dtype], said = _embed(job, dtype)
        gc.collect()  # one copy of the model at a time
    save_file(vectors, reply_file, {"reply": json.dumps(said)})


def _embed(job: dict, dtype: str) -> tuple[np.ndarray, dict]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        job["folder"],
        device=job["device"],
        trust_remote_code=job["remote_code"],
        model_kwargs={"dtype": dtype, "use_safetensors": True},
    )
    model.max_seq_length = job["max_length"]  # the protocol's limit, which the caller of such a model sets
    ids = []
    model[0].register_forward_pre_hook(lambda _module, args: ids.append(args[0]["input_ids"][0].tolist()))
    vectors = [model.encode(prompt, normalize_embeddings=False) for prompt in job["prompts"]]
    said = {"ids": ids, "parameters": sum(p.numel() for name, p in model.named_parameters() if ".pooler." not in name)}
    return np.stack(vectors).astype(np.float32), said


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # libraries and third-party code may raise anything; report it in one line
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
