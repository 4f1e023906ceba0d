"""The report of a training: the version beside the champion, as an HTML file."""

from dataclasses import dataclass
from pathlib import Path

from services.trainer.fitting.result import FitResult
from services.trainer.promotion_policy import PromotionDecision
from shared.core.evaluation.comparison import CHAMPION, Comparison
from shared.core.evaluation.report import ModelReport, overlap_notes
from shared.core.model.card import Bundle


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A challenger and the champion, compared on the held-out candles."""

    challenger: Bundle
    champion: Bundle | None
    comparison: Comparison
    before: Comparison | None  # the champion alone, over the candles before; for the report


def write_report(
    path: Path,
    version: str,
    evaluation: Evaluation,
    decision: PromotionDecision,
    fitted: FitResult,
) -> None:
    """Write the report of a version to an HTML file."""
    # Imported here: the charting library takes long to load, and most trainings write no report.
    from shared.reporting.html_report import render_report

    comparison, before, champion = evaluation.comparison, evaluation.before, evaluation.champion
    notes: tuple[str, ...] = ()
    if champion is not None:
        trained_through_ms = champion.card.trained_through_ms
        notes = overlap_notes(f"The {CHAMPION}", trained_through_ms, comparison, before)
    report = ModelReport(
        f"Model version {version}",
        comparison,
        f"It was {decision.outcome}: {decision.reason}.",
        fitted.training_losses,
        fitted.validation_losses,
        fitted.skills,
        before=before,
        notes=notes,
    )
    path.write_text(render_report(report), encoding="utf-8")
