"""How much memory reading and scoring a task take, so that what runs side by side fits.

Estimates on the safe side, by what decides: a test compares them with what processes take.
"""

PROCESS = 1000 * 2**20  # bytes of a process that has imported mteb and read no data; some of it is shared with others
READ = 8  # bytes in memory for each byte of a data set's files: texts, tables, rendered prompts
CHARACTER = 8  # bytes for each character of the texts while they are scored: texts and prompts, each more than once
COPIES = 3  # float32 matrices of all vectors at a task's peak: the stored ones, and two while they are compared


def planning(size: int) -> int:
    """Bytes to read a data set of ``size`` bytes of files and to render its prompts."""
    return PROCESS + READ * size


def scoring(texts: int, characters: int, width: int) -> int:
    """Bytes to score a task of so many distinct texts from vectors of full width ``width``."""
    return PROCESS + CHARACTER * characters + COPIES * 4 * texts * width
