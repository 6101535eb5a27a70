"""What ``edge score`` shows to people: a line a scenario, and why events were missed or told falsely."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table

from shelf_edge.score import Figures, TakeScore, figures_of


def figures_table(scores: Sequence[TakeScore]) -> Table:
    """A line for each scenario and one for all."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (
        "scenario", "pick+put", "recall", "precision", "reach r/p", "restock r", "misplaced r/p", "fallen r/p",
        "pushed r/p", "quantity", "exact",
        "within 1", "wrong", "list", "false/day", "alerts/day", "doubles", "held", "hand ms", "event ms",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "scenario" else "right", no_wrap=True)
    names = list(dict.fromkeys(score.take.scenario for score in scores))
    for name in names:
        table.add_row(*_cells(name, figures_of([score for score in scores if score.take.scenario == name])))
    if len(names) > 1:
        table.add_row(*_cells("all", figures_of(scores)), style="bold")
    return table


def _cells(name: str, figures: Figures) -> list[str]:
    both, reach = figures.events["pick+put"], figures.events["reach"]
    hand, change = figures.hand_to_reach_ms, figures.change_to_event_ms
    return [
        name,
        str(both.truth),
        _share(both.recall),
        _share(both.precision),
        f"{_share(reach.recall)}/{_share(reach.precision)}",
        _share(figures.events["restock"].recall),
        *(
            f"{_share(figures.events[kind].recall)}/{_share(figures.events[kind].precision)}"
            for kind in ("misplaced", "fallen", "pushed-back")
        ),
        _share(figures.quantity_exact),
        _share(figures.counts_exact),
        _share(figures.counts_within_one),
        _share(figures.counts_wrong),
        _share(figures.list_exact),
        f"{figures.false_changes_per_bay_day:.0f}",
        f"{figures.alerts_false_per_bay_day:.0f}",
        f"{_share(figures.double_reaches_right)} of {figures.double_reaches}",
        f"{_share(figures.held_told)}/{_share(figures.held_precision)}",
        f"{_ms(hand.p50)}/{_ms(hand.p95)}",
        f"{_ms(change.p50)}/{_ms(change.p95)}",
    ]


def why_table(scores: Sequence[TakeScore]) -> Group:
    """Every miss and false event with its likely cause, how often each cause came, and wrong counts."""
    each = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recording", "at s", "", "event", "slot", "cause", ""):
        each.add_column(heading)
    for score in scores:
        for cause in score.causes:
            quantity = "" if not cause.quantity else f" x{cause.quantity}"
            each.add_row(
                score.take.name, f"{cause.at_s:.1f}", cause.wrong, f"{cause.kind}{quantity}", cause.slot, cause.cause,
                cause.detail,
            )  # fmt: skip
    counts = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recording", "from s", "lasts s", "slot", "true", "said", "wrong since"):
        counts.add_column(heading, justify="right" if heading in ("from s", "lasts s", "true", "said") else "left")
    for score in scores:
        for wrong in score.wrong_counts:
            counts.add_row(
                score.take.name, f"{wrong.from_s:.1f}", f"{wrong.lasts_s:.1f}", wrong.slot, str(wrong.true),
                str(wrong.said), wrong.cause,
            )  # fmt: skip
    total = Table(box=None, pad_edge=False, header_style="bold")
    total.add_column("times", justify="right")
    total.add_column("cause")
    for name, times in figures_of(scores).causes.items():
        total.add_row(str(times), name)
    return Group(each, "", counts, "", total, "")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
