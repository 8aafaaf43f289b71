"""What a run evaluates, one file for each kind of encoder: how it is resolved and, once there is work, opened."""
