"""The pipeline of a run: plan, encode, evaluate; what is there already is used again."""
