"""Parts of a text that a command writes: tables, and what stands between two marks."""


def between(text: str, name: str, new: str | None = None) -> str:
    """What stands between the lines `<!-- name -->` and `<!-- /name -->`; with `new`, `text` with that in its place.

    Raises ValueError when the two marks are not there, once each and in this order.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ValueError(f"expected one line '{start.strip()}' and after it one '{end}'")
    first, last = text.index(start) + len(start), text.index(end)
    return text[first:last] if new is None else text[:first] + new + text[last:]


def filled(text: str, blocks: dict[str, str], file) -> str:
    """`text` of `file` with each block between the marks of its name. Raises ValueError naming the file."""
    try:
        for name, block in blocks.items():
            text = between(text, name, block)
        return text
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def table(rows: list[dict]) -> str:
    """Rows with the same keys as a Markdown table: the first column to the left, the others to the right."""
    names = list(rows[0])
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *([row[name] for name in names] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
