"""The types of ROS 2 that are written and read without ROS: its own, and those of edgefuse, defined here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

RESULT, VECTOR, TENSOR = "edgefuse_msgs/msg/Result", "edgefuse_msgs/msg/Vector", "edgefuse_msgs/msg/Tensor"

_RESULT = """\
std_msgs/Header header        # the time that is answered for
string mode                   # full, degraded, abstain or blind
string why                    # what makes it abstain
string[] streams              # by name; the next five have one entry for each of them
string[] states               # fresh, held, imputed or absent
string[] healths              # ok, warn, error or stale
string[] reasons              # a code, or empty
string[] rungs                # of the fallback ladder: hold, impute, mean, token or mask, or empty
float64[] ages_ms             # NaN where nothing has come yet
string[] outputs              # by name; the next two have one entry for each of them
string[] labels               # empty for an output without
uint32[] sizes                # how many of the values are this output's
float32[] values              # of all outputs, one after the other, as the head gives them
float32[] probabilities       # one for each value, NaN for an output that is no class logits
string metric                 # what the datasheet expects of these streams; empty where nothing was measured
float64 expected              # its value; NaN where nothing was measured
float64 expected_low          # 95 % interval
float64 expected_high
int8 in_domain                # 1 yes, 0 no, -1 unknown
string bundle
uint32 bundle_version
float64 total_ms              # that the answer took
"""
_VECTOR = """\
std_msgs/Header header
uint32[] shape
float32[] data                # row by row
"""
_TENSOR = """\
std_msgs/Header header
string dtype                  # NumPy's, with byte order, such as <f8
uint32[] shape
uint8[] data                  # row by row
"""

# A Vector is what `vector` streams carry: std_msgs/Float32MultiArray has no stamp. A Tensor carries a reading that is
# not what its kind should be, so that a recording holds that too.
NUMBERS = "biufc"  # NumPy's kinds of types that a Tensor may be of
OWN: Mapping[str, str] = {RESULT: _RESULT, VECTOR: _VECTOR, TENSOR: _TENSOR}


@cache
def typestore() -> Any:
    """rosbags' types of ROS 2 Humble with those of edgefuse."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in OWN.items():
        store.register(get_types_from_msg(text, name))
    return store


@cache
def definition(name: str) -> str:
    """The definition of a type with those that it is made of, as recordings carry it (`ros2msg`)."""
    return str(typestore().generate_msgdef(name, ros_version=2)[0])


@cache
def type_hash(name: str) -> str:
    """What ROS 2 from Iron on compares types by: `RIHS01_` and the SHA-256 of the type's description."""
    return str(typestore().hash_rihs01(name))


def made(name: str, /, **fields: Any) -> Any:
    """A message of a type, such as `made("std_msgs/msg/Header", stamp=..., frame_id=...)`."""
    return typestore().types[name](**fields)


def decoded(data: bytes, name: str) -> Any:
    """What CDR bytes hold; ValueError where they are no whole message of the type."""
    try:
        return typestore().deserialize_cdr(data, name)
    except Exception as error:
        raise ValueError(f"is no whole {name}: {' '.join(str(error).split())[:300]}") from error
