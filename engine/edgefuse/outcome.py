"""What a whole campaign found: the rows and figures that its faults add up to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from edgefuse.campaign import Campaign, due
from edgefuse.faults import KINDS
from edgefuse.findings import Alarms, FaultOutcome, TrialOutcome, alarms_json
from edgefuse.schema import document_of
from edgefuse.scores import MODES, Share, mean, retained

MOST_BINS = 120  # of time, that the shares of the modes are told in


@dataclass(frozen=True)
class Row:
    """All faults of one kind on one stream; the worst of them in each figure. `never` stands for None of some."""

    kind: str
    stream: str
    faults: tuple[FaultOutcome, ...]

    @property
    def changed(self) -> tuple[FaultOutcome, ...]:
        """Those that did anything at all."""
        return tuple(fault for fault in self.faults if fault.changed)

    @property
    def detected(self) -> int:
        return sum(fault.detected is not None for fault in self.changed)

    @property
    def recovered(self) -> int:
        return sum(fault.recovered is not None for fault in self.changed)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(sorted({str(fault.detected.reason) for fault in self.changed if fault.detected}))

    def worst(self, figure: str) -> int | None:
        """The greatest of those known: `detection_ticks`, `detection_samples`, `recovery_ticks`, `recovery_samples`."""
        values = [fault.as_json()[figure] for fault in self.changed]
        return max((value for value in values if isinstance(value, int)), default=None)

    @cached_property
    def shares(self) -> dict[int | None, tuple[Share, Share]]:
        """Severity -> (with the fault, clean), over all faults of it."""
        shares: dict[int | None, tuple[Share, Share]] = {}
        for fault in sorted(self.faults, key=lambda fault: fault.severity or 0):
            share, clean = shares.get(fault.severity, (Share(), Share()))
            shares[fault.severity] = (share + fault.share, clean + fault.clean)
        return shares

    @property
    def accuracy(self) -> float | None:
        """With the faults, over all severities."""
        return sum((share for share, _ in self.shares.values()), Share()).value

    @property
    def clean_accuracy(self) -> float | None:
        return sum((clean for _, clean in self.shares.values()), Share()).value

    @property
    def ra(self) -> float | None:
        """RA_c: the mean over severities of what is left of the clean accuracy."""
        return mean(retained(share, clean) for share, clean in self.shares.values())

    def as_json(self) -> dict[str, object]:
        figures = ("detection_ticks", "detection_samples", "recovery_ticks", "recovery_samples")
        return {
            "kind": self.kind,
            "stream": self.stream,
            "faults": len(self.faults),
            "changed": len(self.changed),
            "detection_due": due(self.kind),
            "detected": self.detected,
            "recovered": self.recovered,
            "reasons": list(self.reasons),
            **{f"worst_{figure}": self.worst(figure) for figure in figures},
            "accuracy": {str(severity or "all"): share.value for severity, (share, _) in self.shares.items()},
            "clean_accuracy": self.clean_accuracy,
            "ra": self.ra,
        }


@dataclass(frozen=True)
class Outcome:
    """The whole campaign.

    place      the campaign file; source: its URI; bundle: name and version
    clean      the replay without faults, whose false alarms are those of sound streams; clean_share: of all its ticks
    retention  stream -> what is left of the clean accuracy when it is off for the whole recording; None: not known
    left_out   how many replays an interrupt left undone; what is told is of the others
    """

    place: str
    source: str
    bundle: tuple[str, int]
    campaign: Campaign
    in_domain: bool | None
    tick_hz: float
    length_s: float
    streams: tuple[str, ...]
    clean: TrialOutcome
    clean_share: Share
    trials: tuple[TrialOutcome, ...]
    retention: dict[str, float | None]
    left_out: int = 0
    timing: dict[str, float] = field(default_factory=dict)

    @cached_property
    def faults(self) -> tuple[FaultOutcome, ...]:
        return tuple(fault for trial in self.trials for fault in trial.faults)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """By kind and stream, in the order of the campaign."""
        groups: dict[tuple[str, str], list[FaultOutcome]] = {}
        order = {kind: i for i, kind in enumerate(KINDS)}
        for fault in self.faults:
            groups.setdefault((fault.fault.kind, fault.fault.stream), []).append(fault)
        keys = sorted(groups, key=lambda key: (order[key[0]], self.streams.index(key[1])))
        return tuple(Row(*key, tuple(groups[key])) for key in keys)

    @property
    def corruptions(self) -> tuple[Row, ...]:
        """The rows whose faults have levels: what a model is meant to survive."""
        return tuple(row for row in self.rows if KINDS[row.kind].graded)

    @property
    def mra(self) -> float | None:
        """The mean of RA_c over the corruptions."""
        return mean(row.ra for row in self.corruptions)

    @property
    def replays(self) -> tuple[TrialOutcome, ...]:
        return (self.clean, *self.trials)

    @property
    def false_alarms(self) -> Alarms:
        return sum((trial.false_alarms for trial in self.replays), Counter())

    def mode_shares(self) -> dict[str, list[float]]:
        """`from_s` of each stretch of time, and each mode's share of the ticks there, over all replays with faults."""
        width_s = max(1.0, self.length_s / MOST_BINS)
        bins: dict[int, Counter[str]] = {}
        for trial in self.trials:
            for i, mode in enumerate(trial.modes):
                bins.setdefault(int(i / self.tick_hz / width_s), Counter())[mode] += 1
        starts = {"from_s": [round(i * width_s, 3) for i in sorted(bins)]}
        return starts | {mode: [bins[i][mode] / bins[i].total() for i in sorted(bins)] for mode in MODES}

    def as_json(self) -> dict[str, object]:
        """JSON-ready; everything but `timing` is the same each time."""
        return {
            "campaign": {"place": self.place, **document_of(self.campaign)},
            "source": self.source,
            "bundle": {"name": self.bundle[0], "version": self.bundle[1]},
            "in_domain": self.in_domain,
            "tick_hz": self.tick_hz,
            "length_s": self.length_s,
            "left_out": self.left_out,
            "ticks": sum(trial.ticks for trial in self.replays),
            "answers": sum(trial.answers for trial in self.replays),
            "clean": {"accuracy": self.clean_share.value, **self.clean.as_json()},
            "undetected": sum(fault.undetected for fault in self.faults),
            "false_alarms": alarms_json(self.false_alarms),
            "mra": self.mra,
            "retention": self.retention,
            "rows": [row.as_json() for row in self.rows],
            "trials": [trial.as_json() for trial in self.trials],
            "modes": self.mode_shares(),
            "timing": self.timing,
        }
