"""Benchmarks that print ratios, everything compared side by side in one process: ``python -m benchmarks``."""
