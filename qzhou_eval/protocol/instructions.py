"""Which instruction a text gets, by task, task type and side.

``side`` is what mteb calls the prompt type: ``"query"``, ``"document"``, or None for the symmetric tasks (STS, pair
classification, classification, clustering), whose texts are treated as queries.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

OTHERWISE = "default"  # in ``types``: all types without an entry of their own
ASYMMETRIC = ("Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking")
SYMMETRIC = (
    *("STS", "PairClassification", "Classification", "MultilabelClassification", "Clustering"),
    *("BitextMining", "Summarization", "Regression"),
)
TYPES = (*ASYMMETRIC, *SYMMETRIC, OTHERWISE)


class Strict(BaseModel):
    """A part of a profile: it cannot be changed, and has no field that is not named here."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class TaskPrompt(Strict):
    """A task's or a task type's instruction, and who gets it.

    ``instruct`` is ``both`` sides, all but documents (``queries``), or ``none``. ``document_instruction`` is for
    documents that get another one than queries.
    """

    instruct: Literal["both", "queries", "none"]
    instruction: str | None = None
    document_instruction: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "TaskPrompt":
        if (self.instruct == "none") != (self.instruction is None):
            raise ValueError("both and queries need an instruction, and none has none")
        if self.document_instruction is not None and self.instruct != "both":
            raise ValueError("document_instruction needs instruct: both")
        return self

    def of(self, side: str | None) -> str | None:
        """The instruction of one side, or None."""
        if side != "document":
            return self.instruction
        if self.instruct == "queries":
            return None
        return self.instruction if self.document_instruction is None else self.document_instruction

    @property
    def texts(self) -> set[str]:
        """All instructions in it."""
        return {text for text in (self.instruction, self.document_instruction) if text is not None}
