"""What makes the course a game: bets before an answer is shown, and one scoreboard for all that is tried.

Both remember in small JSON files (`memory`) on the reader's machine, which nothing else reads and nothing sends.
"""
