"""What was found of one fault, and of one replay."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edgefuse.campaign import due
from edgefuse.faults import KINDS, Fault
from edgefuse.scores import Found, Share, retained

Alarms = Counter[tuple[str, str]]  # (stream, reason) -> ticks


@dataclass(frozen=True, slots=True)
class FaultOutcome:
    """What became of one fault.

    changed            times at which a sample came otherwise than recorded, or did not; of 0 nothing is to be noticed
    detected, recovered  see `edgefuse.scores`; None: never. The samples are those of the stream, undisturbed: due from
                       the first faulty one up to its detection, and after the last one up to the recovery
    share, clean       answers that are right in the window, with the fault and without
    modes              share of the window's ticks by mode
    """

    fault: Fault
    changed: int
    detected: Found | None
    detected_samples: int | None
    recovered: Found | None
    recovered_samples: int | None
    share: Share
    clean: Share
    modes: dict[str, float]

    @property
    def severity(self) -> int | None:
        return self.fault.severity if KINDS[self.fault.kind].graded else None

    @property
    def undetected(self) -> bool:
        """Is it one that must be noticed, and was not?"""
        return due(self.fault.kind) and self.changed > 0 and self.detected is None

    def as_json(self) -> dict[str, object]:
        found = self.detected
        return {
            "kind": self.fault.kind,
            "family": KINDS[self.fault.kind].family,
            "stream": self.fault.stream,
            "severity": self.severity,
            "from_s": self.fault.from_s,
            "to_s": self.fault.to_s,
            "changes": self.changed,
            "detection_due": due(self.fault.kind),
            "detection_ticks": found.ticks if found else None,
            "detection_samples": self.detected_samples,
            "reason": found.reason if found else None,
            "recovery_ticks": self.recovered.ticks if self.recovered else None,
            "recovery_samples": self.recovered_samples,
            "accuracy": self.share.value,
            "clean_accuracy": self.clean.value,
            "retained": retained(self.share, self.clean),
            "modes": self.modes,
        }


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What became of one replay: `answers` should be `ticks`, `broken_outputs` 0 and `error` None."""

    name: str
    ticks: int
    answers: int
    broken_outputs: int
    error: str | None
    false_alarms: Alarms
    faults: tuple[FaultOutcome, ...]
    modes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ticks": self.ticks,
            "answers": self.answers,
            "broken_outputs": self.broken_outputs,
            "error": self.error,
            "false_alarms": alarms_json(self.false_alarms),
            "faults": [fault.as_json() for fault in self.faults],
        }


def alarms_json(alarms: Alarms) -> dict[str, int]:
    """The alarms by `stream: reason`, JSON-ready."""
    return {f"{stream}: {reason}": ticks for (stream, reason), ticks in sorted(alarms.items())}
