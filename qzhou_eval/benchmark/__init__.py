"""The benchmark: tasks and where their data is, averages over them, published scores."""
