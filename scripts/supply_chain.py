"""Write bills of materials, audit the locked packages, list their licences.

Run `python -m scripts.supply_chain sbom|audit|licences`; `audit --strict` fails too where the
advisory service is out of reach.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

from scripts.markdown import table

BIN: Final = Path(sys.executable).parent
SBOM_FOLDER: Final = Path("build/sbom")
LICENCES_PAGE: Final = Path("docs/reference/licences.md")
# The locked packages of each image; development tools are in none.
LOCKS: Final = {
    "producer, predictor": Path("requirements/runtime.txt"),
    "cli": Path("requirements/cli.txt"),
    "trainer": Path("requirements/trainer.txt"),
    "dashboard": Path("requirements/dashboard.txt"),
    "dashboard, JavaScript": Path("requirements/web_assets.txt"),
    "exchange simulator": Path("requirements/exchange_simulator.txt"),
}
_INTRODUCTION: Final = """\
The licences of the packages in the images, as the packages name them (`make licences`). The
project's own is MIT's (`LICENSE`). Apache Kafka (Apache-2.0) and Redis (RSALv2, SSPLv1 or AGPLv3,
as you choose; Valkey: BSD-3-Clause) run beside it and are in no image of it."""
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def main() -> None:
    """Run the command that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["sbom", "audit", "licences"])
    parser.add_argument(
        "--strict", action="store_true", help="audit: fail where none could be made"
    )
    options = parser.parse_args()
    if options.command == "sbom":
        for lock in LOCKS.values():
            write_sbom(lock)
    elif options.command == "licences":
        LICENCES_PAGE.write_text(licences_page(), encoding="utf-8")
    elif not audit(strict=options.strict):
        sys.exit(1)


def locked_packages(lock: Path) -> dict[str, str]:
    """Return the versions of a lock file's packages, by name."""
    return dict(_PINNED.findall(lock.read_text(encoding="utf-8")))


def write_sbom(lock: Path, folder: Path = SBOM_FOLDER) -> Path:
    """Write a CycloneDX bill of materials of a lock file's packages; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{lock.stem}.cdx.json"
    run = ["cyclonedx-py", "requirements", str(lock), "--output-reproducible", "--short-PURLs"]
    _run([*run, "--pyproject", "pyproject.toml", "--output-file", str(file)]).check_returncode()
    print(f"{file}: {len(locked_packages(lock))} packages")
    return file


def audit(*, strict: bool) -> bool:
    """Print the advisories against the locked packages; return whether there are none."""
    verdicts = [_audit_lock(lock, strict=strict) for lock in LOCKS.values()]
    return all(verdicts)


def _audit_lock(lock: Path, *, strict: bool) -> bool:
    run = ["pip-audit", "--requirement", str(lock), "--require-hashes", "--no-deps"]
    asked = _run([*run, "--disable-pip", "--vulnerability-service", "osv", "--format", "json"])
    verdict, message = judge(asked.stdout, locked_packages(lock))
    print(f"{lock}: {message}")
    return not strict if verdict is None else verdict


def judge(answer: str, packages: Mapping[str, str]) -> tuple[bool | None, str]:
    """Return an audit's verdict (None: no audit was possible), and its message.

    A package that the service does not know counts as not looked at: an index that mirrors packages
    only knows of no vulnerability, which is no proof that there is none.

    Args:
        answer: what pip-audit printed as JSON; anything else if it failed.
        packages: the versions of the packages that were to be looked at, by name.
    """
    try:
        found = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        return None, "NOT CHECKED: the advisory service (OSV) is out of reach from here"
    vulnerable = [_describe(each) for each in found if each.get("vulns")]
    if vulnerable:
        return False, "known vulnerabilities: " + "; ".join(vulnerable)
    checked = {canonicalize_name(each["name"]) for each in found if "vulns" in each}
    missing = sorted(name for name in packages if canonicalize_name(name) not in checked)
    if missing:
        return None, f"NOT CHECKED: the advisory service does not know {', '.join(missing)}"
    return True, f"{len(checked)} packages, no known vulnerability"


def _describe(dependency: Mapping[str, Any]) -> str:
    identifiers = ", ".join(each["id"] for each in dependency["vulns"])
    fixed = {version for each in dependency["vulns"] for version in each["fix_versions"]}
    advice = f"fixed in {', '.join(sorted(fixed))}" if fixed else "no version fixes it yet"
    return f"{dependency['name']} {dependency['version']}: {identifiers} ({advice})"


def licences_page() -> str:
    """Return the page that lists the licence of each package in an image."""
    images: dict[str, list[str]] = {}
    for image, lock in LOCKS.items():
        for name in locked_packages(lock):
            images.setdefault(canonicalize_name(name), []).append(image)
    rows = [
        [each["Name"], _licence_of(each), ", ".join(images[canonicalize_name(each["Name"])])]
        for each in _licences(sorted(images))
    ]
    return (
        "\n\n".join(["# Licences", _INTRODUCTION, table(["package", "licence", "in"], rows)]) + "\n"
    )


def _licences(packages: Sequence[str]) -> list[dict[str, str]]:
    run = ["pip-licenses", "--from=mixed", "--format=json", "--with-system", "--packages"]
    listed = _run([*run, *packages])
    listed.check_returncode()
    return [dict(each) for each in json.loads(listed.stdout)]


def _licence_of(licence: Mapping[str, str]) -> str:
    return "named in its source only" if licence["License"] == "UNKNOWN" else licence["License"]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    path = [str(BIN / command[0]), *command[1:]]
    return subprocess.run(path, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
