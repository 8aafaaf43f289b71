"""What items say of a score: how far it spreads, and which differences are real. Arrays only; knows no task."""
