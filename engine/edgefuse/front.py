"""Front: from samples to verdicts: the inbox and the health of every stream, and what they say of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgefuse.device_payload import host_of
from edgefuse.errors import DeviceError
from edgefuse.fallback import descend_all
from edgefuse.health import StreamHealth
from edgefuse.modalities.agreement import Agreement, relative_error
from edgefuse.plan import Plan
from edgefuse.streams import streams_of
from edgefuse.types import NS_PER_MS, Array, Judged, Reason, Sample, Trust
from edgefuse.verdicts import close_derived


class Front:
    """Streams and their health, without encoders: what is to be trusted, whatever is made of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._streams = streams_of(plan)
        recover = plan.config.recover_samples
        pairs = zip(plan.streams, self._streams.values(), strict=True)
        self._healths = [StreamHealth(own, stream.account, recover) for own, stream in pairs]
        self._compared: dict[int, tuple[int, int]] = {}

    def push(self, stream: str, stamp_ns: int, payload: Any, arrival_ns: int | None = None) -> Sample:
        """Take a reading as it comes, from any thread."""
        return self._streams[stream].push(stamp_ns, payload, arrival_ns)

    def judge(self, t_ns: int) -> list[Judged]:
        """Look at all that is due at t_ns, and give every stream its verdict."""
        for health, stream in zip(self._healths, self._streams.values(), strict=True):
            health.watch(stream.due(t_ns))
        for own in range(len(self._healths)):
            self._compare(own, t_ns)
        return close_derived([health.judge(t_ns) for health in self._healths], self.plan.streams)

    def trusts(self, t_ns: int) -> list[Trust]:
        """What an answer at t_ns would be made from, if every encoder did its work."""
        return descend_all(self.judge(t_ns), self.plan.streams)

    def failed(self, i: int, number: int, reason: Reason, t_ns: int) -> Judged:
        """The embedding of a trusted sample is unusable: the verdict on its stream without it."""
        self._healths[i].failed(number, reason)
        return self._healths[i].judge(t_ns)

    def unwatched(self) -> None:
        """Nobody has looked for too long: every stream must prove itself anew."""
        for health in self._healths:
            health.unwatched()

    def used(self, judged: Sequence[Judged], trusts: Sequence[Trust]) -> None:
        """An answer has been made from these."""
        for health, verdict, trust in zip(self._healths, judged, trusts, strict=True):
            if trust.present and verdict.sample is not None:
                health.used(verdict.sample)

    def accounts(self) -> dict[str, dict[str, object]]:
        """Stream -> what became of its samples: received = used + waiting + the sum of dropped."""
        counted = {}
        for health, stream in zip(self._healths, self._streams.values(), strict=True):
            stream.account.clock_jumps = stream.clock_jumps
            received, waiting = stream.counted()
            counted[stream.name] = {**health.count(waiting).as_json(), "received": received}
        return counted

    def _compare(self, i: int, t_ns: int) -> None:
        """Does stream i contradict the one that it must agree with? Each pair of samples is asked once."""
        plan = self.plan.streams[i]
        if plan.agreement is None or plan.partner is None:
            return
        own, other = self._healths[i].latest, self._healths[plan.partner].trusted
        if own is None or other is None or self._compared.get(i) == (own.number, other.number):
            return
        self._compared[i] = own.number, other.number
        if abs(own.stamp_ns - other.stamp_ns) <= plan.agreement.within_ms * NS_PER_MS:
            error = _error(own.payload, other.payload, plan.agreement)
            if error is not None:
                self._healths[i].compared(t_ns, agrees=error <= plan.agreement.max_relative_error)


def _error(own: Array, other: Array, agreement: Agreement) -> float | None:
    """None where they do not overlap, or lie on a device that is lost: then they are soon found to."""
    try:
        return relative_error(host_of(own), host_of(other), agreement)
    except DeviceError:
        return None
