"""Encoding by worker processes on several devices, on this machine or a Ray cluster."""
