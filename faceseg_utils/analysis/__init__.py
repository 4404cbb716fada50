"""Where a model is wrong, whether it knows, and what the labels have to do with it."""
