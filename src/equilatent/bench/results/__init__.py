"""The records of runs as one pandas frame, and the tables, figures and page that are made of it."""
