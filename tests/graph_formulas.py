"""The graph-run operators with all streams present, from torch's own attention and transformer layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def attend(a: Any, queries: Tensor, tokens: Tensor) -> Tensor:
    dim = queries.shape[2]
    oracle = nn.MultiheadAttention(dim, 1 if dim % 4 else 4, batch_first=True, dtype=torch.float64)
    parts = (a.query, a.key, a.value)
    state = {"in_proj_weight": torch.cat([p.weight for p in parts]), "in_proj_bias": torch.cat([p.bias for p in parts])}
    oracle.load_state_dict({**state, "out_proj.weight": a.out.weight, "out_proj.bias": a.out.bias})
    return oracle(queries, tokens, tokens)[0]


def block(b: Any, x: Tensor) -> Tensor:
    dim, a = x.shape[2], b.attention
    oracle = nn.TransformerEncoderLayer(
        dim, 1 if dim % 4 else 4, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    parts = (a.query, a.key, a.value)
    state = {
        "self_attn.in_proj_weight": torch.cat([p.weight for p in parts]),
        "self_attn.in_proj_bias": torch.cat([p.bias for p in parts]),
    }
    names = {"self_attn.out_proj": a.out, "linear1": b.wide, "linear2": b.narrow, "norm1": b.norm1, "norm2": b.norm2}
    state |= {f"{k}.{part}": getattr(layer, part) for k, layer in names.items() for part in ("weight", "bias")}
    oracle.load_state_dict(state)
    return oracle(x)


def tokens(m: Any, x: list[Tensor]) -> list[Tensor]:
    return [layer(e).view(len(e), m.rank, m.dim) for layer, e in zip(m.tokens, x, strict=True)]


def with_ones(h: Tensor) -> Tensor:
    return torch.cat([torch.ones(len(h), 1, dtype=h.dtype), h], 1)


def early(m: Any, x: list[Tensor]) -> Tensor:
    z = torch.cat([*x, torch.ones(len(x[0]), 3, *x[0].shape[2:], dtype=torch.float64)], 1)
    h = m.second(m.first(z).clamp(min=0)).clamp(min=0)
    return h.flatten(2).mean(2) if h.dim() == 4 else h


def across(attentions: Any, h: list[Tensor]) -> list[Tensor]:
    others = [torch.cat(h[:i] + h[i + 1 :], 1) for i in range(len(h))]
    return [t + attend(a, t, o) for a, t, o in zip(attentions, h, others, strict=True)]


def means(h: list[Tensor]) -> Tensor:
    return torch.cat([t.mean(1) for t in h], 1)


def self_cross(m: Any, x: list[Tensor]) -> Tensor:
    own = [t + attend(a, t, t) for a, t in zip(m.own, tokens(m, x), strict=True)]
    h = m.join(means(across(m.cross, own))).relu()
    return h + m.residual(h).relu()


def bottleneck(m: Any, x: list[Tensor]) -> Tensor:
    h, shared = tokens(m, x), m.bottleneck.repeat(len(x[0]), 1, 1)
    for layer in m.layers:
        after = [block(b, torch.cat([t, shared], 1)) for b, t in zip(layer, h, strict=True)]
        h, shared = [y[:, : m.rank] for y in after], sum(y[:, m.rank :] for y in after) / 3
    return torch.cat(h, 1).mean(1)


def attend_fusion(m: Any, x: list[Tensor]) -> Tensor:
    f = [t.relu() for t in tokens(m, x)]
    return m.join(means([t + attend(a, t, t) for a, t in zip(m.own, f, strict=True)])).relu()


def shaspec(m: Any, x: list[Tensor]) -> Tensor:
    pairs = [(shared(e), own(e)) for shared, own, e in zip(m.shared, m.specific, x, strict=True)]
    return torch.cat([r + m.residual(torch.cat(pair, 1)) for pair in pairs for r in pair[:1]], 1)


def dynamic(m: Any, x: list[Tensor]) -> Tensor:
    ones = torch.ones(len(x[0]), 3, dtype=torch.float64)
    gate = m.gate.out(m.gate.hidden(torch.cat([x[0], ones], 1)).relu())
    answers = [e.layer(torch.cat([x[i] for i in b], 1)).relu() for e, b in zip(m.experts, m.branches, strict=True)]
    return torch.stack([answers[k][row] for row, k in enumerate(gate.argmax(1).tolist())])


def pooled(m: Any, x: list[Tensor]) -> Tensor:
    t = torch.stack([layer(e) for layer, e in zip(m.projections, x, strict=True)], 1)
    return attend(m.attention, m.query.repeat(len(t), 1, 1), t)[:, 0]


def tensor_product(m: Any, x: list[Tensor]) -> Tensor:
    factors = [with_ones(layer(e)) for layer, e in zip(m.projections, x, strict=True)]
    return torch.einsum("bi,bj,bk->bijk", *factors).flatten(1)


FORMULAS: dict[str, Callable[[Any, list[Tensor]], Tensor]] = {
    "early": early,
    "early on maps": early,
    "tfn": tensor_product,
    "attention_pooling": pooled,
    "cross_attention": lambda m, x: means(across(m.cross, tokens(m, x))),
    "self_cross_attention": self_cross,
    "attend_fusion": attend_fusion,
    "bottleneck": bottleneck,
    "shaspec": shaspec,
    "dynamic": dynamic,
}
