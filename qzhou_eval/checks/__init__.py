"""Comparisons: two runs, a run and its baseline, a model here and in sentence-transformers."""
