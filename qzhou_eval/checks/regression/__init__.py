"""A run compared with a baseline that is kept in a file: the gate of a CI."""
