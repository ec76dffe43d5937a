"""The operators that run as graphs, for one sample, in float64 and straight from their formulas.

Parameters come by the names under which the torch modules keep them; nothing else is shared with those modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truth_parts import Vector, gelu, relu, softmax

Tokens = list[Vector]


@dataclass(frozen=True)
class Sample:
    """x[i] of each stream, None where absent; parameters by name; what `dynamic` chooses among."""

    state: Mapping[str, Vector]
    x: Sequence[Vector | None]
    dim: int
    rank: int
    branches: Sequence[Sequence[int]]
    gate_streams: Sequence[int]

    @property
    def present(self) -> list[int]:
        return [i for i, given in enumerate(self.x) if given is not None]

    @property
    def flags(self) -> Vector:
        return np.array([0.0 if given is None else 1.0 for given in self.x])

    def linear(self, name: str, v: Vector) -> Vector:
        return self.state[f"{name}.weight"] @ v + self.state[f"{name}.bias"]


def graph_truth(
    name: str,
    state: Mapping[str, NDArray],
    x: Sequence[NDArray | None],
    dim: int,
    rank: int,
    branches: Sequence[Sequence[int]] | None = None,
    gate_streams: Sequence[int] = (0,),
) -> Vector:
    """The fused vector of one sample in evaluation mode.

    state     the parameters of the module by name, with which "early" on maps is known by its weights
    x         the embedding [d_i] or map [d_i, H, W] of each stream, None where it is absent
    branches  of `dynamic`, in indices; left out: each stream alone, and all
    """
    alone = [[i] for i in range(len(x))]
    chosen = branches or (alone if len(x) == 1 else [*alone, list(range(len(x)))])
    doubles = {key: np.asarray(value, np.float64) for key, value in state.items()}
    given = [None if v is None else np.asarray(v, np.float64) for v in x]
    sample = Sample(doubles, given, dim, rank, chosen, gate_streams)
    return np.asarray(GRAPHS[name](sample), np.float64)


def early(s: Sample) -> Vector:
    if s.state["first.weight"].ndim == 4:
        return early_on_maps(s)
    given = [s.state[f"constants.{i}"] if v is None else v for i, v in enumerate(s.x)]
    z = np.concatenate([*given, s.flags])
    return relu(s.linear("second", relu(s.linear("first", z))))


def early_on_maps(s: Sample) -> Vector:
    known = s.x[s.present[0]]
    assert known is not None
    height, width = known.shape[1:]
    planes: list[Vector] = []
    for i, v in enumerate(s.x):
        spread = [np.full((height, width), constant) for constant in s.state[f"constants.{i}"]]
        planes += spread if v is None else list(v)
    planes += [np.full((height, width), flag) for flag in s.flags]
    z = relu(convolve(np.array(planes), s.state["first.weight"], s.state["first.bias"]))
    z = relu(convolve(z, s.state["second.weight"], s.state["second.bias"]))
    return np.array([plane.sum() / (height * width) for plane in z])


def convolve(z: Vector, weight: Vector, bias: Vector) -> Vector:
    """3 x 3 around each cell of maps [C, H, W], zeros beyond the edge."""
    _, height, width = z.shape
    result = np.zeros((len(bias), height, width))
    for o in range(len(bias)):
        for r in range(height):
            for c in range(width):
                result[o, r, c] = bias[o]
                for dr in (-1, 0, 1):
                    for dc in (-1, 0, 1):
                        if 0 <= r + dr < height and 0 <= c + dc < width:
                            result[o, r, c] += weight[o, :, dr + 1, dc + 1] @ z[:, r + dr, c + dc]
    return result


def tfn(s: Sample) -> Vector:
    result = [1.0]
    for i, v in enumerate(s.x):
        h = [0.0] * s.dim if v is None else list(s.linear(f"projections.{i}", v))
        result = [left * right for left in result for right in [1.0, *h]]
    return np.array(result)


def attend(s: Sample, name: str, queries: Tokens, tokens: Tokens) -> Tokens:
    """Multi-head attention, one query and one head at a time; exactly 0 over no tokens."""
    heads = 4 if s.dim % 4 == 0 else 1
    size = s.dim // heads
    keys = [s.linear(f"{name}.key", t) for t in tokens]
    values = [s.linear(f"{name}.value", t) for t in tokens]
    attended = []
    for query in queries:
        if not tokens:
            attended.append(np.zeros(s.dim))
            continue
        q, joined = s.linear(f"{name}.query", query), np.zeros(s.dim)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            weights = softmax([float(q[part] @ key[part]) / math.sqrt(size) for key in keys])
            for weight, value in zip(weights, values, strict=True):
                joined[part] += weight * value[part]
        attended.append(s.linear(f"{name}.out", joined))
    return attended


def plus(left: Tokens, right: Tokens) -> Tokens:
    return [a + b for a, b in zip(left, right, strict=True)]


def tokens_of(s: Sample, i: int) -> Tokens:
    v = s.x[i]
    assert v is not None
    h = s.linear(f"tokens.{i}", v)
    return [h[t * s.dim : (t + 1) * s.dim] for t in range(s.rank)]


def mean(tokens: Tokens) -> Vector:
    return np.asarray(sum(tokens)) / len(tokens)


def token_blocks(s: Sample, tokens: Mapping[int, Tokens]) -> Vector:
    return np.concatenate([mean(tokens[i]) if i in tokens else np.zeros(s.dim) for i in range(len(s.x))])


def attention_pooling(s: Sample) -> Vector:
    tokens = [s.linear(f"projections.{i}", v) for i, v in enumerate(s.x) if v is not None]
    return attend(s, "attention", [s.state["query"]], tokens)[0]


def across(s: Sample, tokens: Mapping[int, Tokens]) -> dict[int, Tokens]:
    """Each present stream's tokens, plus what they find among those of the other present streams."""
    result = {}
    for i in s.present:
        others = [t for j in s.present if j != i for t in tokens[j]]
        result[i] = plus(tokens[i], attend(s, f"cross.{i}", tokens[i], others))
    return result


def cross_attention(s: Sample) -> Vector:
    return token_blocks(s, across(s, {i: tokens_of(s, i) for i in s.present}))


def self_cross_attention(s: Sample) -> Vector:
    own = {}
    for i in s.present:
        h = tokens_of(s, i)
        own[i] = plus(h, attend(s, f"own.{i}", h, h))
    h = relu(s.linear("join", token_blocks(s, across(s, own))))
    return h + relu(s.linear("residual", h))


def attend_fusion(s: Sample) -> Vector:
    own = {}
    for i in s.present:
        f = [relu(t) for t in tokens_of(s, i)]
        own[i] = plus(f, attend(s, f"own.{i}", f, f))
    return relu(s.linear("join", token_blocks(s, own)))


def layer_norm(s: Sample, name: str, v: Vector) -> Vector:
    centred = v - sum(v) / len(v)
    variance = sum(centred**2) / len(v)
    return s.state[f"{name}.weight"] * centred / math.sqrt(variance + 1e-5) + s.state[f"{name}.bias"]


def block(s: Sample, name: str, tokens: Tokens) -> Tokens:
    normed = [layer_norm(s, f"{name}.norm1", t) for t in tokens]
    y = plus(tokens, attend(s, f"{name}.attention", normed, normed))
    fed = [s.linear(f"{name}.narrow", gelu(s.linear(f"{name}.wide", layer_norm(s, f"{name}.norm2", t)))) for t in y]
    return plus(y, fed)


def bottleneck(s: Sample) -> Vector:
    tokens = {i: tokens_of(s, i) for i in s.present}
    shared = list(s.state["bottleneck"])
    for layer in range(2):
        after = {i: block(s, f"layers.{layer}.{i}", [*tokens[i], *shared]) for i in s.present}
        tokens = {i: after[i][: s.rank] for i in s.present}
        shared = [mean([after[i][s.rank + k] for i in s.present]) for k in range(4)]
    return mean([t for i in s.present for t in tokens[i]])


def shaspec(s: Sample) -> Vector:
    shared = {i: s.linear(f"shared.{i}", s.x[i]) for i in s.present}
    specific = {i: s.linear(f"specific.{i}", s.x[i]) for i in s.present}
    common = mean(list(shared.values())) if shared else np.zeros(s.dim)
    own = {i: shared[i] + s.linear("residual", np.concatenate([shared[i], specific[i]])) for i in s.present}
    return np.concatenate([own.get(i, common) for i in range(len(s.x))])


def zero_where_absent(s: Sample, streams: Sequence[int], sizes: Mapping[int, int]) -> Vector:
    given = [s.x[i] for i in streams]
    return np.concatenate([np.zeros(sizes[i]) if v is None else v for i, v in zip(streams, given, strict=True)])


def sizes_of(s: Sample) -> dict[int, int]:
    """d_i of every stream that is alone in a branch or present; that of an absent one is what the others leave."""
    sizes = {i: len(v) for i, v in enumerate(s.x) if v is not None}
    for k, branch in enumerate(s.branches):
        if len(branch) == 1:
            sizes[branch[0]] = s.state[f"experts.{k}.layer.weight"].shape[1]
    return sizes


def dynamic(s: Sample) -> Vector:
    sizes = sizes_of(s)
    z = np.concatenate([zero_where_absent(s, s.gate_streams, sizes), s.flags])
    values = s.linear("gate.out", relu(s.linear("gate.hidden", z)))
    can = [k for k, branch in enumerate(s.branches) if all(i in s.present for i in branch)]
    if can:
        winner = min(k for k in can if values[k] == max(values[m] for m in can))
        return relu(s.linear(f"experts.{winner}.layer", zero_where_absent(s, s.branches[winner], sizes)))
    everything = zero_where_absent(s, range(len(s.x)), sizes)
    return relu(s.linear("rest.layer", np.concatenate([everything, s.flags])))


GRAPHS: Mapping[str, Callable[[Sample], Vector]] = {
    "early": early,
    "tfn": tfn,
    "attention_pooling": attention_pooling,
    "cross_attention": cross_attention,
    "self_cross_attention": self_cross_attention,
    "attend_fusion": attend_fusion,
    "bottleneck": bottleneck,
    "shaspec": shaspec,
    "dynamic": dynamic,
}
