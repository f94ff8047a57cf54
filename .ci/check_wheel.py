"""Check a built wheel against the source tree: size, modules, weights, data set, licence, nothing else.

python .ci/check_wheel.py dist/skicl-0.1.0-py3-none-any.whl .
"""

import sys
from pathlib import Path
from zipfile import ZipFile

LIMIT_MB = 20
SUFFIXES = {".py", ".safetensors", ".csv", ".tsv", ".gz", ".rst", ".md", ".txt", ".json", ".typed"}


def problems(wheel, tree):
    """Return what is wrong with the wheel, one sentence each."""
    size = wheel.stat().st_size / 1e6
    names = set(ZipFile(wheel).namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    source = {
        path.relative_to(tree).as_posix()
        for path in (tree / "skicl").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = [f"{wheel.name} has {size:.1f} MB; the limit is {LIMIT_MB} MB"] if size >= LIMIT_MB else []
    found += [f"{name} is in the tree but not in the wheel" for name in sorted(source - packaged)]
    found += [f"{name} is in the wheel but not in the tree" for name in sorted(packaged - source)]
    odd = sorted(name for name in packaged if Path(name).suffix not in SUFFIXES)
    found += [f"{name} is of an unexpected type" for name in odd]
    for what, folder, suffixes in (
        ("reasoner weights", "skicl/reasoning/weights/", (".safetensors",)),
        ("data set", "skicl/datasets/data/", (".csv", ".tsv", ".gz")),
    ):
        if not any(name.startswith(folder) and name.endswith(suffixes) for name in packaged):
            found.append(f"no {what} in {folder}")
    if not any(name.endswith("LICENSE") for name in names - packaged):
        found.append("no LICENSE among the metadata")
    print(f"{wheel.name}: {size:.2f} MB, {len(packaged)} files")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.exit("\n".join(wrong) if wrong else 0)
