"""Tables in markdown."""


def markdown_table(header, rows):
    """A markdown table that is also legible as plain text."""
    widths = [max(len(str(row[column])) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in [header, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def interval(row, form, factor=1):
    """A mean and the ends of its interval as one cell; "-" without a row."""
    if row is None:
        return "-"
    mid, low, high = (form.format(factor * row[name]) for name in ("mean", "low", "high"))
    return f"{mid} ({low} to {high})"
