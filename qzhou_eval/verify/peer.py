"""The other side's process: a folder loaded through sentence-transformers, with or without its own code.

    python -m qzhou_eval.verify.peer JOB.json REPLY.safetensors

This process alone runs remote code. It is given rendered prompts and adds nothing to them; what
sentence-transformers itself adds or cuts shows in the token ids of the reply.
"""

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from qzhou_eval.errors import BadInput

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """What the other side did: token ids per prompt, float32 vectors (n, width) and its number of parameters."""

    ids: list[list[int]]
    vectors: np.ndarray
    parameters: int


def ask(folder: Path, prompts: list[str], *, dtype: str, device: str, max_length: int, remote_code: bool) -> Reply:
    """Embed rendered prompts in another process, one at a time, not normalised.

    Raises:
        BadInput: the process failed; its last line says why.
    """
    job = {"folder": str(folder), "dtype": dtype, "device": device, "max_length": max_length}
    job |= {"remote_code": remote_code, "prompts": prompts}
    with TemporaryDirectory() as scratch:
        job_file, reply_file = Path(scratch, "job.json"), Path(scratch, "reply.safetensors")
        job_file.write_text(json.dumps(job), "utf-8")
        command = [sys.executable, "-m", "qzhou_eval.verify.peer", str(job_file), str(reply_file)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise BadInput(f"{folder}: loading it through sentence-transformers failed: {reason}")
        with safe_open(reply_file, framework="np") as file:
            said = json.loads(file.metadata()["reply"])
            return Reply(said["ids"], file.get_tensor("vectors"), said["parameters"])


def main(job_file: str, reply_file: str) -> None:
    """Do one job."""
    from sentence_transformers import SentenceTransformer

    job = json.loads(Path(job_file).read_text("utf-8"))
    model = SentenceTransformer(
        job["folder"],
        device=job["device"],
        trust_remote_code=job["remote_code"],
        model_kwargs={"dtype": job["dtype"], "use_safetensors": True},
    )
    model.max_seq_length = job["max_length"]  # the protocol's limit, which the caller of such a model sets
    ids = []
    model[0].register_forward_pre_hook(lambda _module, args: ids.append(args[0]["input_ids"][0].tolist()))
    vectors = [model.encode(prompt, normalize_embeddings=False) for prompt in job["prompts"]]
    said = {"ids": ids, "parameters": sum(p.numel() for p in model.parameters())}
    save_file({"vectors": np.stack(vectors).astype(np.float32)}, reply_file, {"reply": json.dumps(said)})


if __name__ == "__main__":
    main(*sys.argv[1:])
