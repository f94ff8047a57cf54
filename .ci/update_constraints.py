"""Write the files of pinned versions anew: everything that pip would install today, of one set.

    python .ci/update_constraints.py               # .ci/constraints.txt, the newest releases
    python .ci/update_constraints.py --oldest      # .ci/constraints-oldest.txt, the floors of pyproject.toml

Nothing is installed: pip is asked what it would install for all extras. torch keeps its pin unless --torch names
another version: the newest one may have no CPU build where this runs. Packages that only another Python or system
needs are pinned too, and every pin must have a wheel for every Python that pyproject.toml names. Run the tests on the
new set before you commit it: a pin says that a set has passed.

Needs pip 22.3 or newer and the package packaging, which comes with pytest.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = {False: ROOT / ".ci" / "constraints.txt", True: ROOT / ".ci" / "constraints-oldest.txt"}
# They come with builds of torch for CUDA, and never with those for CPUs.
OF_CUDA = re.compile(r"(nvidia|cuda|triton)\b")
# Held back in the newest set: newer ones need a later patch of Python 3.11 than some systems have (3.11.5).
HELD = {"soupsieve": "2.8.4"}
# Held back in the oldest set. scipy follows scikit-learn: newer ones deprecate what its floor calls.
WITH_FLOORS = {"scipy": "1.11.4"}
SYSTEMS = [
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
]

HEADS = {
    False: """\
# Every package that the commands of README.md and docs/contributing.rst install, at the version that was tested:
#     pip install -c .ci/constraints.txt -e ".[test]"
# Written on {date} with Python {python} by:
#     python .ci/update_constraints.py
# torch is named without +cpu: where an index (or --find-links) offers a CPU build of this version, such as
# 2.13.0+cpu, pip prefers it; elsewhere it takes the default build of the platform, with packages for CUDA that are
# not listed. Packages that only some Pythons or systems need are. setuptools is also pinned in pyproject.toml,
# since this file does not reach the environment in which pip builds skicl.
""",
    True: """\
# The oldest versions that skicl supports, for Python 3.11: the floors in pyproject.toml (tests/test_packaging.py
# compares the two), and with them what was tested. scipy follows scikit-learn: newer ones deprecate what it calls.
#     pip install -c .ci/constraints-oldest.txt -e ".[test]"
# Written on {date} with Python {python} by:
#     python .ci/update_constraints.py --oldest
""",
}


def project():
    """The contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pythons():
    """Versions of Python that pyproject.toml names, such as ``"3.11"``."""
    return re.findall(r"Python :: (3\.\d+)$", "\n".join(project()["project"]["classifiers"]), flags=re.MULTILINE)


def pins_of(text):
    """``{package: version}`` of the lines of a file of constraints."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines]
    return {canonicalize_name(name): version for name, version in pairs}


def extras(oldest):
    """Extras that a set is made for: all of them, but for the documentation, which is built with the newest only."""
    return sorted(set(project()["project"]["optional-dependencies"]) - ({"docs", "lint"} if oldest else set()))


def requirements(oldest):
    """Lines of pyproject.toml that a set is made for."""
    declared = project()["project"]
    optional = (line for extra in extras(oldest) for line in declared["optional-dependencies"][extra])
    return [*declared["dependencies"], *optional]


def floors():
    """``{package: version}`` of all requirements, at their floors."""
    return {canonicalize_name(name): version for name, version in (line.split(">=") for line in requirements(True))}


def environments():
    """What markers are compared with, for every Python and system."""
    for python in pythons():
        for system in SYSTEMS:
            yield {
                "python_version": python,
                "python_full_version": f"{python}.9",
                "extra": "",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                **system,
            }


def reachable(lines, requirements_of, everywhere):
    """``{package: requirements}`` of all that lines of requirements lead to in any of some environments.

    `requirements_of` gives the lines of a package by its name, or None where it is not known.
    """
    found, waiting = {}, [(Requirement(line), "") for line in lines]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        needed = requirement.marker is None or any(
            requirement.marker.evaluate({**one, "extra": extra}) for one in everywhere
        )
        if not needed or OF_CUDA.match(name):
            continue
        found.setdefault(name, []).append(requirement)
        for own in ("", *requirement.extras):
            if (name, own) not in seen:
                seen.add((name, own))
                waiting += [(Requirement(line), own) for line in requirements_of(name) or ()]
    return found


def would_install(arguments, constraints):
    """What pip would install: ``{package: metadata}``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in constraints.items()), encoding="utf-8")
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--report",
            str(report),
            "-c",
            str(file),
            *arguments,
        ]
        if subprocess.run(command, check=False, cwd=ROOT).returncode:
            sys.exit(f"pip finds no set for {' '.join(arguments)}.\nIf a pin is the reason, hold it back in HELD.")
        parts = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {canonicalize_name(part["metadata"]["name"]): part["metadata"] for part in parts}


def resolve(oldest, torch):
    """Pins of a set: ``{package: version}``."""
    fixed = {**floors(), **WITH_FLOORS} if oldest else {"torch": torch, **HELD}
    chosen = f".[{','.join(extras(oldest))}]"
    backend = project()["build-system"]["requires"] if oldest else ["setuptools"]
    known = would_install([chosen, *backend], fixed)
    # In rounds, since what another system needs may need something else.
    while missing := elsewhere(known, oldest):
        lines = [name + ",".join(str(one.specifier) for one in some if one.specifier) for name, some in missing.items()]
        known = {**would_install(["--no-deps", *lines], {}), **known}
    versions = {name: metadata["version"].split("+")[0] for name, metadata in known.items()}
    return {name: versions[name] for name in sorted(versions) if name != "skicl" and not OF_CUDA.match(name)}


def elsewhere(known, oldest):
    """``{package: requirements}`` of what only another Python or system needs; ends if what is known does not do."""
    everywhere = [one for one in environments() if not oldest or one["python_version"] == pythons()[0]]
    found = reachable(requirements(oldest), lambda name: known.get(name, {}).get("requires_dist"), everywhere)
    wrong = [
        f"{one}: got {known[name]['version']}"
        for name, some in found.items()
        if name in known
        for one in some
        if not one.specifier.contains(known[name]["version"].split("+")[0], prereleases=True)
    ]
    if wrong:
        sys.exit("Elsewhere this set does not do:\n" + "\n".join(wrong))
    return {name: some for name, some in found.items() if name not in known}


def check_wheels(pins):
    """Ask pip for wheels of all pins, for every Python; torch is left out, whose builds come from several places."""
    some = [f"{name}=={version}" for name, version in pins.items() if name != "torch"]
    for python in pythons():
        with tempfile.TemporaryDirectory() as folder:
            only = ["--only-binary", ":all:", "--python-version", python, "--target", folder]
            would_install(["--no-deps", *only, *some], {})
        print(f"Python {python}: wheels for all of {len(some)} pins")


def main():
    """Write one of the two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oldest", action="store_true", help="write the floors and what goes with them")
    parser.add_argument("--torch", metavar="VERSION", help="version of torch (default: the one that is pinned)")
    options = parser.parse_args()
    file = FILES[options.oldest]
    before = pins_of(file.read_text(encoding="utf-8"))
    pins = resolve(options.oldest, options.torch or before["torch"])
    if not options.oldest:
        check_wheels(pins)
        path = ROOT / "pyproject.toml"
        text = re.sub(
            r'requires = \["setuptools[^"]*"\]',
            f'requires = ["setuptools=={pins["setuptools"]}"]',
            path.read_text(encoding="utf-8"),
        )
        path.write_text(text, encoding="utf-8")
    head = HEADS[options.oldest].format(date=date.today(), python=sys.version.split()[0])
    file.write_text(head + "".join(f"{name}=={version}\n" for name, version in pins.items()), encoding="utf-8")
    for name in sorted({*before, *pins}):
        if before.get(name) != pins.get(name):
            print(f"{name}: {before.get(name, 'new')} -> {pins.get(name, 'gone')}")


if __name__ == "__main__":
    main()
