"""The closed list of reasons: why a stream is not what it should be, how bad that is, and what it says to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Health = Literal["ok", "warn", "error", "stale"]
Reason = Literal[
    "not_asked",
    "superseded",
    "recovering",
    "late",
    "silent",
    "low_rate",
    "deadline",
    "out_of_order",
    "duplicate",
    "overflow",
    "no_data",
    "too_old",
    "unwatched",
    "future_stamp",
    "bad_stamp",
    "bad_type",
    "bad_dtype",
    "bad_shape",
    "byte_order",
    "non_finite",
    "denormal",
    "out_of_range",
    "graph_failed",
    "stuck",
    "blackout",
    "overexposed",
    "blurred",
    "noisy",
    "too_few_pixels",
    "saturated",
    "too_few_points",
    "sector_lost",
    "beams_lost",
    "no_fix",
    "poor_fix",
    "position_jump",
    "disagrees",
    "parent_lost",
]

# What a reason says of its stream. `ok`: nothing is wrong, the model answers without it. `warn` concerns one sample or
# one tick and keeps the stream; `error` takes the stream out until enough good samples in a row have come; `stale` is
# silence, and does so too.
REASONS: Mapping[Reason, tuple[Health, str]] = {
    "not_asked": ("ok", "the stream is sound; dynamic routing answered without it, so it was not encoded"),
    "superseded": ("ok", "a newer sample came before an answer was made from this one (in the accounts)"),
    "recovering": ("ok", "a good sample of a stream that has not proved itself again yet (in the accounts)"),
    "late": ("warn", "the newest sample is older than `fresh_ms`"),
    "silent": ("warn", "no sample for `silent_periods` periods of the stream"),
    "low_rate": ("warn", "the rate has fallen below `min_rate` of what the stream can do"),
    "deadline": ("warn", "its encoder did not fit into `deadline_ms`; the answer rests on an older sample, if any"),
    "out_of_order": ("warn", "one sample was dropped: its stamp lies before that of an earlier one"),
    "duplicate": ("warn", "one sample was dropped: its stamp has come before"),
    "overflow": ("warn", "more samples waited between two ticks than fit; the oldest went (in the accounts)"),
    "no_data": ("stale", "nothing has come yet"),
    "too_old": ("stale", "silence for longer than `max_age_ms`"),
    "unwatched": ("error", "the ticks themselves fell silent: nobody was watching"),
    "future_stamp": ("error", "a stamp ahead of the tick by more than `future_tolerance_ms`"),
    "bad_stamp": ("error", "what should be a stamp is none"),
    "bad_type": ("error", "the payload is no array"),
    "bad_dtype": ("error", "the payload is of another dtype than its kind states"),
    "bad_shape": ("error", "the payload is of another shape than its kind states"),
    "byte_order": ("error", "the payload is of the other byte order"),
    "non_finite": ("error", "NaN or infinity, in the payload or in what was computed from it"),
    "denormal": ("error", "values too small to be measurements: memory that nobody wrote, most likely"),
    "out_of_range": ("error", "a value that cannot be"),
    "graph_failed": ("error", "a graph of the model cannot compute anything from it"),
    "stuck": ("error", "the same content for `stuck_samples` samples in a row"),
    "blackout": ("error", "the picture is black"),
    "overexposed": ("error", "the picture is white"),
    "blurred": ("error", "the picture has lost the sharpness that this stream has shown"),
    "noisy": ("error", "the picture is full of noise that this stream has not shown"),
    "too_few_pixels": ("error", "too few pixels hold a measurement"),
    "saturated": ("error", "nearly all that was measured lies at the end of the range"),
    "too_few_points": ("error", "too few points"),
    "sector_lost": ("error", "a sector that used to hold points is empty"),
    "beams_lost": ("error", "rows of the scan, or most of its points, are gone"),
    "no_fix": ("error", "the receiver has no position"),
    "poor_fix": ("error", "the receiver has a position that says too little"),
    "position_jump": ("error", "further from the last trusted position than anything can have moved"),
    "disagrees": ("error", "it contradicts the stream that it must agree with"),
    "parent_lost": ("error", "the stream is computed from one that is not sound"),
}

LEVEL: Mapping[Reason, Health] = {reason: level for reason, (level, _) in REASONS.items()}
