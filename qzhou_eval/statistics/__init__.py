"""Computes intervals of scores from items, and which differences are significant. Arrays only; knows no tasks."""
