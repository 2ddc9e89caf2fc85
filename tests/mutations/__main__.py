"""Put in all mutations, or those whose names hold one of the given words: `python -m tests.mutations [WORD …]`."""

import sys
import tempfile
from pathlib import Path

from tests.mutations.mutations import MUTATIONS, run

words = sys.argv[1:]
chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
if not chosen:
    sys.exit(f"no mutation has {' or '.join(map(repr, words))} in its name")
with tempfile.TemporaryDirectory() as folder:
    sys.exit(1 if run(chosen, Path(folder)) else 0)
