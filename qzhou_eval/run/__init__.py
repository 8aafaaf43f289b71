"""The pipeline of a run: plan, encode, evaluate. Existing vectors and results are reused."""
