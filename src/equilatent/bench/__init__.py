"""Experiments, run on real data and recorded so that every number can be made again."""
