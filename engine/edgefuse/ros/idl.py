"""Types of ROS 2 as cyclonedds knows types, and messages of them that stay the bytes that they are."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from edgefuse.ros.definitions import typestore

_ROS_TYPE = re.compile(r"(\w+)::(\w+)::dds_::(\w+)_")


def ros_type(dds_name: str) -> str:
    """`sensor_msgs::msg::dds_::Image_` as `sensor_msgs/msg/Image`; what is no type of ROS stays as it is."""
    parts = _ROS_TYPE.fullmatch(dds_name)
    return "/".join(parts.groups()) if parts else dds_name


@cache
def carrier(name: str) -> Any:
    """The class of a type, whose instances are made by `carried` and hold CDR bytes in `data`.

    cyclonedds encodes a sample element by element, in Python: 36 ms for a picture of 640 x 480. It does so in methods
    of the sample's class, and what these take and give are the very bytes that rosbags makes, and makes at once.
    """
    made = _struct(name)
    made.__idl__.populate()
    made.serialize = lambda self, **_: self.data
    made.deserialize = made.deserialize_key = classmethod(lambda cls, data, **_: _filled(cls, data))
    return made


def carried(name: str, data: bytes) -> Any:
    """A message of a type that cyclonedds can send, from its bytes."""
    return _filled(carrier(name), data)


def _filled(of: Any, data: bytes) -> Any:
    sample = of.__new__(of)
    sample.data = data
    return sample


@cache
def _struct(name: str) -> Any:
    from cyclonedds.idl import annotations, make_idl_struct

    package, kind, short = name.split("/")
    fields = {field: _type(described) for field, described in typestore().fielddefs[name][1]}
    made = make_idl_struct(f"{short}_", f"{package}.{kind}.dds_.{short}_", fields)
    return annotations.autoid("sequential")(annotations.final(made))


def _type(described: Any) -> Any:
    """The annotation of a field, from rosbags' description of it."""
    import cyclonedds.idl.types
    from rosbags.interfaces import Nodetype

    types: Any = cyclonedds.idl.types
    node, what = described
    if node == Nodetype.BASE:
        return _PYTHONS.get(what[0]) or getattr(types, _OTHERS.get(what[0], what[0]))
    if node == Nodetype.NAME:
        return _struct(what)
    element, size = _type(what[0]), what[1]
    if node == Nodetype.ARRAY:
        return types.array[element, size]
    return types.sequence[element, size] if size else types.sequence[element]


_PYTHONS = {"bool": bool, "string": str}
_OTHERS = {"char": "uint8"}  # in ROS 2; all others are called the same
