"""Results -> a report's files. Imports neither torch nor mteb."""
