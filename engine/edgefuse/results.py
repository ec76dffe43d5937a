"""Results: what is told of an answer: outputs, labels and probabilities, what it was made from, and what to expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.calibration import softmax
from edgefuse.datasheet import Expectations, standing
from edgefuse.head import Head
from edgefuse.modes import judged_mode
from edgefuse.plan import Plan
from edgefuse.stopwatch import Stopwatch
from edgefuse.types import F32, F64, Result, Trust


class Results:
    """Tells answers of one bundle under one plan."""

    def __init__(self, bundle: Bundle, plan: Plan, expectations: Expectations) -> None:
        self._names, self._demands, self._expectations = plan.names, plan.demands, expectations
        self._bundle = bundle.manifest.name, bundle.manifest.bundle_version

    def of(
        self,
        head: Head,
        t_ns: int,
        outputs: dict[str, F32],
        trusts: Sequence[Trust],
        in_domain: bool | None,
        watch: Stopwatch,
        attribution: Mapping[str, Mapping[str, F64]],
    ) -> Result:
        """The result of a tick at t_ns, from the outputs of `head` and the trusts that they were made from."""
        streams = dict(zip(self._names, trusts, strict=True))
        stand = standing(streams)
        expected = None if in_domain is False else self._expectations.of(streams, stand)
        mode, why = judged_mode(streams, expected, self._demands)
        scores = head.scores(outputs, self._expectations.calibration(stand))
        return Result(
            t_ns=t_ns,
            mode=mode,
            why=why,
            outputs=outputs,
            probabilities={name: softmax(values).astype(np.float32) for name, values in scores.items()},
            labels=head.labels({**outputs, **scores}, blind=mode == "blind"),
            matches=head.matches(outputs, blind=mode == "blind"),
            attribution=attribution,
            streams=streams,
            expected=expected,
            in_domain=in_domain,
            timing_ms=watch.total(),
            bundle=self._bundle,
        )
