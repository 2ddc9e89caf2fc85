"""Carrying out runs of any task with any system: configurations, training, folders that survive a kill, sweeps, records."""
