"""A bundle with a few parts exchanged, everything else byte for byte as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.verify import verify
from edgefuse_export.errors import ExportError


def rewrite(
    bundle: Bundle, path: str | os.PathLike[str], changes: Mapping[str, Any], files: Mapping[str, bytes]
) -> None:
    """Write to `path` the bundle with changed fields of its manifest and added or exchanged files.

    Whole or not at all, and only if it still answers its golden moments. ExportError or BundleError otherwise.
    """
    fields = {**bundle.manifest.model_dump(mode="json", exclude={"files"}), **changes}
    data = bundles.assemble(fields, {**bundle.files, **files})
    checks = verify(Engine(bundles.parse(data, os.fspath(path))))
    if not all(check.passed for check in checks):
        worst = max(check.worst for check in checks)
        raise ExportError(f"{os.fspath(path)}: its golden moments come out otherwise, by {worst:.1e}: not written")
    bundles.save(path, data)
