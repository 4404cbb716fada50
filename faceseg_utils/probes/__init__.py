"""Short runs that answer a question before a long one: guard rails and the bench."""
