"""A bundle with a few parts exchanged, everything else byte for byte as it was."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.schema import document_of
from edgefuse.verify import golden_samples, verify
from edgefuse_export.errors import ExportError


def rewrite(
    bundle: Bundle,
    path: str | os.PathLike[str],
    changes: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    other_answers: bool = False,
) -> None:
    """Write to `path` the bundle with changed fields of its manifest and added or exchanged files, whole or not at all.

    The bundle must give its golden moments as they are, which ties it to the model it came from. Those in which a
    stream is absent are recorded anew where another ladder stands in for it, and all where its answers are others now.
    ExportError or BundleError otherwise.
    """
    place = os.fspath(path)
    checks = verify(Engine(bundle))
    if not all(check.passed for check in checks):
        worst = max(check.worst for check in checks)
        raise ExportError(f"{bundle.path}: does not give its golden moments here, by {worst:.1e}: {place} not written")
    fields = {**document_of(bundle.manifest, "files"), **changes}
    parts = {**bundle.files, **files}
    if other_answers or fields["fallback"]["ladder"] != list(bundle.manifest.fallback.ladder):
        parts |= _recorded(bundles.parse(bundles.assemble(fields, parts), place), whole=other_answers)
    data = bundles.assemble(fields, parts)
    bundles.parse(data, place)
    bundles.save(path, data)


def _recorded(bundle: Bundle, whole: bool) -> dict[str, bytes]:
    """What the engine answers to the golden moments in which a stream is absent, as the files that hold it.

    whole: to the others too.
    """
    engine = Engine(bundle)
    files: dict[str, bytes] = {}
    for golden in bundle.manifest.golden:
        if whole or len(golden.samples) < len(bundle.manifest.streams):
            outputs = engine.answer(golden_samples(bundle, golden)).outputs
            files |= {file: _npy(outputs[name]) for name, file in golden.outputs.items()}
    return files


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
