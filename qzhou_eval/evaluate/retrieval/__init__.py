"""Array code that scores all dimensions at once from full-width vectors. Does not import mteb; knows no tasks."""
