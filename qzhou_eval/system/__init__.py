"""Shared utilities: files, digests, paths, the machine and its libraries, the network, formatting."""
