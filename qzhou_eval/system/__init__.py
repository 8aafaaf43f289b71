"""What every part stands on: files, digests, paths, the machine and its libraries, network, words for numbers."""
