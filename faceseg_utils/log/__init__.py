"""Run folders read back. What maintainers do with them (check, publish, tables) lives in experiments/."""
