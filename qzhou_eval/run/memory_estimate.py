"""Estimates the memory for reading and scoring a task, so that jobs that run in parallel fit.

The estimates err on the high side; a test compares them with what processes actually use.
"""

PROCESS = 1000 * 2**20  # bytes of a process that has imported mteb but read no data; processes share some of it
READ = 8  # bytes in memory for each byte of a data set's files: texts, tables, rendered prompts
CHARACTER = 8  # bytes for each character of the texts while they are scored: texts and prompts, each more than once
COPIES = 3  # float32 matrices of all vectors at a task's peak: the stored ones, and two during comparison


def planning(size: int) -> int:
    """Bytes of memory to read a data set whose files have ``size`` bytes, and to render its prompts."""
    return PROCESS + READ * size


def scoring(texts: int, characters: int, width: int) -> int:
    """Bytes of memory to score a task with so many distinct texts from vectors of full width ``width``."""
    return PROCESS + CHARACTER * characters + COPIES * 4 * texts * width
