"""Makes a report from results. Imports neither torch nor mteb."""
