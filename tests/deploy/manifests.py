"""The manifests of deploy/kubernetes, read from the files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"


def documents(folder: Path) -> list[dict[str, Any]]:
    """Return the documents that a folder's kustomization names."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    return [
        document
        for resource in kustomization["resources"]
        for document in yaml.safe_load_all((folder / resource).read_text(encoding="utf-8"))
    ]


def files() -> Iterator[Path]:
    """Yield the files that hold manifests."""
    for folder in (KUBERNETES, KUBERNETES / "servers", KUBERNETES / "catch-up"):
        yield from (f for f in folder.glob("*.yaml") if not f.name.endswith("-values.yaml"))


def environment(deployment: dict[str, Any], settings: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a deployment's container, those of the shared settings too."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return {**settings["data"], **{each["name"]: each["value"] for each in container["env"]}}
