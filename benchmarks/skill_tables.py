"""The table of variants of a `benchmarks.skill` run."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.table import Table

from benchmarks.skill_result import VariantResult, family_p
from benchmarks.variants import DEFAULT, ONE_SET
from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_FROZEN, CHALLENGER_RAW
from shared.core.evaluation.skill_score import Skill, skill_score


def variants_table(results: Sequence[VariantResult], title: str) -> Table:
    """Return a table of the variants, one row each."""
    p = family_p(results)
    caption = (
        "skill against zero change; p: probability of this gain over the default by chance, by"
        " Diebold and Mariano"
    )
    if p is not None:
        caption += f"\nthat any of them is better than the default: p = {p:.2g}, by Hansen's test"
    table = Table(title=title, caption=caption)
    table.add_column("variant")
    scores = ("updating, calibrated", "updating, raw", "frozen, calibrated")
    for column in (*scores, "worst symbol", "against the default", "p"):
        table.add_column(column, justify="right")
    default = next((one for one in results if one.name == DEFAULT), None)
    for one in results:
        for cells in variant_rows(one, default):
            table.add_row(*cells)
    return table


def variant_rows(result: VariantResult, default: VariantResult | None) -> Iterator[tuple[str, ...]]:
    """Yield a variant's rows as text: its own, and with one set of weights if it was scored."""
    contenders = {result.name: (CHALLENGER, CHALLENGER_RAW, CHALLENGER_FROZEN)}
    if ONE_SET in result.forecasts:
        contenders[f"{result.name}, {ONE_SET}"] = (ONE_SET, raw_name(ONE_SET), "")
    for title, names in contenders.items():
        worst = result.worst_symbol(names[0])
        against = _against(result.errors[names[0]], default, title)
        yield (
            title,
            *(_interval(result.skill(name)) for name in names),
            "" if worst is None else f"{worst[1]} {_percent(worst[0])} %",
            "" if against is None else f"{_percent(against.value)} %",
            "" if against is None else f"{against.p:.2g}",
        )


def raw_name(contender: str) -> str:
    """Return the name of a contender's forecasts without calibration."""
    return f"{contender}, raw"


def _against(errors: Sequence[float], default: VariantResult | None, title: str) -> Skill | None:
    if default is None or title == DEFAULT or len(default.errors[CHALLENGER]) != len(errors):
        return None
    return skill_score(np.array(errors), np.array(default.errors[CHALLENGER]))


def _interval(found: Skill | None) -> str:
    if found is None:
        return ""
    return f"{_percent(found.value)} % ({_percent(found.low)} to {_percent(found.high)})"


def _percent(share: float) -> str:
    return f"{100 * share:+.3f}" if abs(share) < 1 else f"{100 * share:+,.0f}"
