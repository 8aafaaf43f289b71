"""What is asked: tasks and where their data is, averages over them, published scores."""
