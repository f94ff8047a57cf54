"""Print the fenced code block that follows the marker ``<!-- NAME -->`` in a Markdown file.

python .ci/readme_block.py README.md tests
"""

import re
import sys
from pathlib import Path


def fenced_block(markdown, name):
    """Return the text inside the first fence after ``<!-- name -->``; only blank lines may stand between."""
    pattern = rf"^<!-- {re.escape(name)} -->\s*\n```[a-z]*\n(.*?)^```\s*$"
    blocks = re.findall(pattern, markdown, flags=re.DOTALL | re.MULTILINE)
    if len(blocks) != 1:
        raise ValueError(f"expected one fenced block after '<!-- {name} -->', found {len(blocks)}")
    return blocks[0]


if __name__ == "__main__":
    path, block_name = sys.argv[1:]
    sys.stdout.write(fenced_block(Path(path).read_text(encoding="utf-8"), block_name))
