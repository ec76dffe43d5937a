"""A few ROS 2 messages as cyclonedds has its types, written by hand: another implementation of CDR, to compare with."""

# No `from __future__ import annotations` here: cyclonedds looks at the annotations themselves.
from dataclasses import dataclass

import cyclonedds.idl.annotations as annotate
import cyclonedds.idl.types as t
from cyclonedds.idl import IdlStruct


@dataclass
@annotate.final
@annotate.autoid("sequential")
class Time_(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    sec: t.int32
    nanosec: t.uint32


@dataclass
@annotate.final
@annotate.autoid("sequential")
class Header_(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    stamp: Time_
    frame_id: str


@dataclass
@annotate.final
@annotate.autoid("sequential")
class NavSatStatus_(IdlStruct, typename="sensor_msgs.msg.dds_.NavSatStatus_"):
    status: t.int8
    service: t.uint16


@dataclass
@annotate.final
@annotate.autoid("sequential")
class NavSatFix_(IdlStruct, typename="sensor_msgs.msg.dds_.NavSatFix_"):
    header: Header_
    status: NavSatStatus_
    latitude: t.float64
    longitude: t.float64
    altitude: t.float64
    position_covariance: t.array[t.float64, 9]
    position_covariance_type: t.uint8


@dataclass
@annotate.final
@annotate.autoid("sequential")
class KeyValue_(IdlStruct, typename="diagnostic_msgs.msg.dds_.KeyValue_"):
    key: str
    value: str


@dataclass
@annotate.final
@annotate.autoid("sequential")
class DiagnosticStatus_(IdlStruct, typename="diagnostic_msgs.msg.dds_.DiagnosticStatus_"):
    level: t.byte
    name: str
    message: str
    hardware_id: str
    values: t.sequence[KeyValue_]


@dataclass
@annotate.final
@annotate.autoid("sequential")
class DiagnosticArray_(IdlStruct, typename="diagnostic_msgs.msg.dds_.DiagnosticArray_"):
    header: Header_
    status: t.sequence[DiagnosticStatus_]
