"""Generator of the rendered portraits in data/sample. Run it with `python -m data.render`."""
