"""What each notebook is excused from until it is rewritten; an excuse that is no longer needed fails a test.

Names of `tools.minutes.LIMITS`: it is above that limit (bytes: see KNOWN in tools/weight.py). header: it does not state
its minutes as `tools.minutes` counts them. mutants: its checks let mistakes pass that `tools.mutants` finds.
"""

PENDING: dict[str, set[str]] = {}
