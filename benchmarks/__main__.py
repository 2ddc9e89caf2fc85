"""``python -m benchmarks``: every benchmark, one after the other."""

from __future__ import annotations

from benchmarks import actions, groups, step

for benchmark in (groups, actions, step):
    print(f"\n# {(benchmark.__doc__ or '').splitlines()[0]}")
    benchmark.main()
