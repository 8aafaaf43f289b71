"""Array code that scores all dimensions at once from full-width vectors. Imports no mteb and knows no task."""
