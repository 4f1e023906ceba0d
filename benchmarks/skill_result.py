"""Results of a `benchmarks.skill` run, kept in one JSON file to resume from."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.family import superior_ability_p
from benchmarks.variants import DEFAULT, ONE_SET, Settings
from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadSetting
from shared.core.evaluation.comparison import (
    CHALLENGER,
    Comparison,
)
from shared.core.evaluation.costs import NetReturn
from shared.core.evaluation.interval_summary import IntervalSummary
from shared.core.evaluation.skill_score import Skill

_SCHEMA: Final = 1
_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class VariantResult:
    """The results of one variant: all forecasts of the same candles."""

    name: str
    settings: Settings
    seconds: float
    outcomes: int
    forecasts: Mapping[str, Any]  # by contender, as `Comparison.to_fields` has them
    net_returns: Mapping[str, Sequence[Mapping[str, Any]]]  # by contender, at each cost and fill
    errors: Mapping[str, Sequence[float]]  # of the updating forecasts, at each moment
    intervals: Mapping[str, Any] | None = None

    def skill(self, contender: str) -> Skill | None:
        """Return a contender's pooled skill against zero change; None if it has none."""
        fields = self.forecasts.get(contender, {}).get("skill")
        return None if fields is None else Skill(**fields)

    def worst_symbol(self, contender: str) -> tuple[float, str] | None:
        """Find the symbol of a contender's lowest skill against zero change."""
        symbols = self.forecasts.get(contender, {}).get("symbols", {}).items()
        return min(((one["value"], s) for s, one in symbols if one is not None), default=None)


def variant_result(
    name: str,
    settings: Settings,
    seconds: float,
    comparison: Comparison,
    net_returns: Mapping[str, Sequence[NetReturn]],
    intervals: IntervalSummary | None = None,
) -> VariantResult:
    """Collect the results of a variant."""
    updating = [one for one in (CHALLENGER, ONE_SET) if one in comparison.names]
    return VariantResult(
        name,
        settings,
        round(seconds, 1),
        comparison.outcomes,
        comparison.to_fields(),
        {contender: [asdict(one) for one in rows] for contender, rows in net_returns.items()},
        {contender: comparison.errors(contender).tolist() for contender in updating},
        None if intervals is None else intervals.to_fields(),
    )


class ResultFile:
    """The JSON file of a run, which is complete after every variant."""

    def __init__(self, path: Path | None, task: Mapping[str, Any], numeric_profile: str) -> None:
        """Take the file, if there is one, the description of the candles, and the profile.

        Raises:
            BadSetting: the file exists and is none of this benchmark's.
        """
        self._path = path
        versions = {**_versions(), "numeric_profile": numeric_profile}
        self._head = {"schema": _SCHEMA, "task": dict(task), "versions": versions}
        self._known = _read(path, self._head)

    def find(self, name: str, settings: Settings) -> VariantResult | None:
        """Return a variant's results of the same candles, settings and versions, if known."""
        wanted = (name, dict(settings))
        return next((r for r in self._known if (r.name, dict(r.settings)) == wanted), None)

    def write(self, results: Sequence[VariantResult]) -> None:
        """Write these results, and the known ones that are not among them."""
        if self._path is None:
            return
        names = {(one.name, tuple(sorted(one.settings.items()))) for one in results}
        others = [
            one
            for one in self._known
            if (one.name, tuple(sorted(one.settings.items()))) not in names
        ]
        document = {
            **self._head,
            "family_p": family_p(results),
            "variants": [asdict(one) for one in (*results, *others)],
        }
        write_atomically(self._path, json.dumps(document, sort_keys=True).encode())


def family_p(results: Sequence[VariantResult]) -> float | None:
    """Compute one p-value of all gains over the default: Hansen's superior predictive ability."""
    default = next((one.errors[CHALLENGER] for one in results if one.name == DEFAULT), None)
    others = [
        errors
        for one in results
        for contender, errors in one.errors.items()
        if (one.name, contender) != (DEFAULT, CHALLENGER)
    ]
    if default is None or any(len(errors) != len(default) for errors in others) or not others:
        return None
    return superior_ability_p(np.array(default)[:, None] - np.array(others).T)


def _versions() -> dict[str, str]:
    names = ("numpy", "updating-lstm")
    packages = {name: version(name) for name in names}
    return {"python": platform.python_version(), **packages, "source": _source_digest()}


def _source_digest() -> str:
    """Return a digest of the code that results depend on: it changes with every edit."""
    digest = sha256()
    for folder in ("benchmarks", "services/trainer", "shared/core"):
        for file in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _read(path: Path | None, head: Mapping[str, Any]) -> list[VariantResult]:
    """Read the results that the file has of the same candles and versions."""
    if path is None or not path.exists():
        return []
    try:
        document = json.loads(path.read_bytes())
        if {name: document[name] for name in head} != json.loads(json.dumps(head)):
            return []
        return [VariantResult(**fields) for fields in document["variants"]]
    except (ValueError, TypeError, KeyError) as error:
        raise BadSetting(
            f"--json is {path}, which is no result of this benchmark ({error!r}): move it away"
        ) from error
