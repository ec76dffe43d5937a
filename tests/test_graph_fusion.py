"""Operators that run as graphs, from export to the engine: the table's, a user's module, and a ready ONNX file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import edgefuse  # noqa: E402
from edgefuse import Engine  # noqa: E402
from edgefuse.executors import Inline  # noqa: E402
from edgefuse.operators import OPERATORS  # noqa: E402
from edgefuse.schema import document_of  # noqa: E402
from edgefuse.types import Array, Judged  # noqa: E402
from edgefuse_export import ClassOutput, ExportError, FusionModel, OnnxFusion, Stream, export_bundle  # noqa: E402
from edgefuse_export.gate import torch_answers  # noqa: E402
from edgefuse_export.graphs import GRAPHS  # noqa: E402
from edgefuse_export.graphs.dynamic import Dynamic  # noqa: E402

DIMS = {"a": 3, "b": 5, "c": 4}
WIDTH = 4
MASKS = list(itertools.product((True, False), repeat=3))


class Weighed(nn.Module):
    """A user's operator: embeddings weighed by learned scalars, absent ones selected away."""

    width = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(d, WIDTH) for d in DIMS.values())
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, -1.0]))

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        made = [layer(e) * w for layer, e, w in zip(self.layers, embeddings, self.weight, strict=True)]
        kept = [torch.where(p[:, None], u, 0.0) for u, p in zip(made, present.unbind(1), strict=True)]
        return torch.stack(kept).sum(0)


class Naive(Weighed):
    """The same by multiplication with the mask, as in most tutorials."""

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        made = [layer(e) * w for layer, e, w in zip(self.layers, embeddings, self.weight, strict=True)]
        return sum((u * p[:, None] for u, p in zip(made, present.unbind(1), strict=True)), torch.zeros(()))


def model_of(operator: str | nn.Module, width: int = WIDTH) -> FusionModel:
    torch.manual_seed(0)
    streams = {name: Stream("vector", nn.Identity(), d, {"shape": [d]}) for name, d in DIMS.items()}
    return FusionModel(streams, operator, WIDTH, nn.Linear(width, 3), [ClassOutput("way", ["l", "r", "s"])]).eval()


def samples(n: int = 3) -> list[dict[str, Array]]:
    rng = np.random.default_rng(3)
    return [{name: rng.normal(size=d).astype(np.float32) for name, d in DIMS.items()} for _ in range(n)]


def exported(operator: str | nn.Module, folder: Path, width: int = WIDTH) -> tuple[FusionModel, Engine]:
    torch.manual_seed(1)
    model = model_of(operator, width)
    export_bundle(folder / "m.efb", model, name="m", samples=samples())
    return model, edgefuse.load(folder / "m.efb")


def answers_agree(model: FusionModel, engine: Engine) -> None:
    given = samples()
    tensors = {name: np.stack([s[name] for s in given]) for name in DIMS}
    for mask in MASKS[:-1]:
        want = torch_answers(model, tensors, mask)["way"]
        for row, sample in enumerate(given):
            present = {name: sample[name] for name, on in zip(DIMS, mask, strict=True) if on}
            clean = engine.answer(present).outputs["way"]
            np.testing.assert_allclose(clean, want[row], rtol=1e-5, atol=1e-5)
            garbage = {name: np.full(d, np.nan, np.float32) for name, d in DIMS.items()}
            assert engine.answer({**garbage, **present}).outputs["way"].tobytes() == clean.tobytes()


@pytest.mark.parametrize("operator", [name for name in GRAPHS if name not in ("tfn", "dynamic")])
def test_an_operator_of_the_table_travels_as_one_graph(operator: str, tmp_path: Path) -> None:
    model, engine = exported(operator, tmp_path, OPERATORS[operator].width(3, WIDTH, OPERATORS[operator].default_rank))
    assert engine.bundle.manifest.fusion.file == "fusion.onnx"
    answers_agree(model, engine)


def test_tensor_fusion_is_as_wide_as_all_its_monomials(tmp_path: Path) -> None:
    model, engine = exported("tfn", tmp_path, 5**3)
    answers_agree(model, engine)


def test_a_module_of_the_user_travels_as_one_graph(tmp_path: Path) -> None:
    model, engine = exported(Weighed(), tmp_path)
    spec = engine.bundle.manifest.fusion
    assert (spec.operator, spec.width) == ("graph", WIDTH)
    answers_agree(model, engine)


def test_a_mean_stands_in_for_an_embedding_of_a_graph(tmp_path: Path) -> None:
    model = model_of("attention_pooling")
    tensors = {name: torch.tensor(np.stack([s[name] for s in samples(5)])) for name in DIMS}
    model.measure_means([tensors])
    export_bundle(tmp_path / "m.efb", model, name="m", samples=samples())
    engine = edgefuse.load(tmp_path / "m.efb", edgefuse.config.RunConfig(ladder=("mean",)))
    given = samples(1)[0]
    result = engine.answer({"a": given["a"]})
    whole = {**{name: t.mean(0, keepdim=True) for name, t in tensors.items()}, "a": torch.tensor(given["a"])[None]}
    want = model(whole)["way"][0].detach().numpy()
    np.testing.assert_allclose(result.outputs["way"], want, rtol=1e-5, atol=1e-5)
    assert [trust.state for trust in result.streams.values()] == ["fresh", "imputed", "imputed"]


def test_a_graph_that_multiplies_by_its_mask_is_refused_with_the_subset(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"graph: subset a\+b: output 'way': max abs error inf"):
        exported(Naive(), tmp_path)


# A ready ONNX file


def graph_bytes(module: nn.Module | None = None) -> bytes:
    from edgefuse_export.to_onnx import fusion_body

    return bytes(fusion_body(model_of(module or Weighed())).SerializeToString())


def test_a_ready_file_answers_as_the_module_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "fusion.onnx").write_bytes(graph_bytes())
    model, engine = exported(OnnxFusion(tmp_path / "fusion.onnx", list(DIMS)), tmp_path)
    answers_agree(model, engine)


def changed(change: Any) -> bytes:
    proto = onnx.load_from_string(graph_bytes())
    change(proto)
    return bytes(proto.SerializeToString())


def without_present(proto: Any) -> None:
    node = helper.make_node(
        "ConstantOfShape", ["shape_of_all"], ["present"], value=helper.make_tensor("v", TensorProto.BOOL, [1], [True])
    )
    shape = helper.make_node(
        "Constant", [], ["shape_of_all"], value=helper.make_tensor("s", TensorProto.INT64, [2], [1, 3])
    )
    proto.graph.node.insert(0, node)
    proto.graph.node.insert(0, shape)
    proto.graph.input.pop()


def fixed_batch(proto: Any) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def other_name(proto: Any) -> None:
    for node in proto.graph.node:
        node.output[:] = ["joined" if name == "fused" else name for name in node.output]
    proto.graph.output[0].name = "joined"


def foreign(proto: Any) -> None:
    proto.opset_import.append(helper.make_opsetid("com.example", 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_present, r"inputs are \['a', 'b', 'c'\], not \['a', 'b', 'c', 'present'\]"),
        (fixed_batch, r"'a' has shape \[2, 3\]: its first axis must be free"),
        (other_name, r"outputs are \['joined'\], not \['fused'\]"),
    ],
)
def test_a_file_that_is_no_fusion_is_refused_by_name(change: Any, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        OnnxFusion(changed(change), list(DIMS))


def test_a_file_with_operators_of_others_is_refused(tmp_path: Path) -> None:
    fusion = OnnxFusion(changed(foreign), list(DIMS))
    with pytest.raises(ExportError, match=r"uses operators of com\.example"):
        exported(fusion, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x01" * 40])
def test_bytes_that_are_no_graph_are_refused(content: bytes) -> None:
    with pytest.raises(ExportError, match=r"fusion\.onnx: is no"):
        OnnxFusion(content, list(DIMS))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"nowhere\.onnx: No such file"):
        OnnxFusion(tmp_path / "nowhere.onnx", list(DIMS))


class Deaf(Weighed):
    """Takes the mask and makes next to nothing of it."""

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        made = torch.stack([layer(e) for layer, e in zip(self.layers, embeddings, strict=True)]).sum(0)
        return made + 1e-12 * present.float().sum(1, keepdim=True)


def test_a_graph_whose_output_does_not_react_to_present_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        exported(Deaf(), tmp_path)
    assert any("presence of 'a' changes no output" in problem for problem in caught.value.problems)


# Dynamic routing


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> tuple[FusionModel, Path]:
    """A model with three branches, and its bundle: exporting its five graphs takes seconds."""
    module = Dynamic(DIMS, WIDTH, branches=[["a"], ["b", "c"], ["a", "b", "c"]], gate_streams=["a"])
    torch.manual_seed(2)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    model = model_of(module)
    path = tmp_path_factory.mktemp("routes") / "m.efb"
    export_bundle(path, model, name="m", samples=samples(12))
    return model, path


def encoders_of(engine: edgefuse.Engine) -> list[Any]:
    assert isinstance(engine._executor, Inline)
    return list(engine._executor.encoders)


def test_the_branch_that_the_gate_picks_answers_and_the_others_are_not_encoded(
    routes: tuple[FusionModel, Path],
) -> None:
    model, engine = routes[0], edgefuse.load(routes[1])
    ran: dict[str, int] = dict.fromkeys(DIMS, 0)
    for name, encoder in zip(DIMS, encoders_of(engine), strict=True):

        def counted(sample: Any, name: str = name, run: Any = encoder.run) -> None:
            ran[name] += 1
            run(sample)

        encoder.run = counted  # type: ignore[method-assign]
    module, picked = model.fusion.module, []
    for sample in samples(12):
        ran.update(dict.fromkeys(DIMS, 0))
        result = engine.answer(sample)
        embeddings = [torch.tensor(sample[name])[None] for name in DIMS]
        scores = module.gate(embeddings[:1], torch.ones(1, 3, dtype=torch.bool))[0]
        branch = {list(DIMS)[i] for i in module.branches[int(scores.argmax())]}
        picked.append(frozenset(branch))
        assert {name for name, count in ran.items() if count} == branch | {"a"}
        aside = {name for name, trust in result.streams.items() if trust.reason == "not_asked"}
        assert (aside, result.mode) == (set(DIMS) - branch - {"a"}, "full")
        want = model({name: torch.tensor(sample[name])[None] for name in DIMS})["way"][0]
        np.testing.assert_allclose(result.outputs["way"], want.detach().numpy(), rtol=1e-5, atol=1e-5)
    assert len(set(picked)) > 1


def test_a_branch_that_lacks_a_stream_is_never_picked_and_something_always_answers(
    routes: tuple[FusionModel, Path],
) -> None:
    model, engine = routes[0], edgefuse.load(routes[1])
    answers_agree(model, engine)


def test_a_gate_stream_whose_embedding_overflows_is_lost_before_the_gate_looks(
    routes: tuple[FusionModel, Path],
) -> None:
    model, engine = routes[0], edgefuse.load(routes[1])
    encoder, sample = encoders_of(engine)[0], samples(1)[0]
    run = encoder.run

    def overflow(given: Any) -> None:
        run(given)
        encoder.problem = "non_finite"

    encoder.run = overflow  # type: ignore[method-assign]
    result = engine.answer(sample)
    assert result.streams["a"].reason == "non_finite"
    without = {name: torch.tensor(sample[name])[None] for name in ("b", "c")}
    want = model(without)["way"][0].detach().numpy()
    np.testing.assert_allclose(result.outputs["way"], want, rtol=1e-5, atol=1e-5)


def test_a_stand_in_makes_no_branch_feasible_and_sound_streams_are_heard(routes: tuple[FusionModel, Path]) -> None:
    bundle = edgefuse.load(routes[1]).bundle
    fields = document_of(bundle.manifest, "files")
    fields["fallback"] = {"ladder": ["mean"], "blocks": ["mean"], "file": "fallback.bin"}
    files = {name: bundle[name] for name in bundle.manifest.files} | {"fallback.bin": b"\0" * 4 * sum(DIMS.values())}
    edgefuse.bundle.write(routes[1].with_name("mean.efb"), fields, files)
    sample = samples(1)[0]
    result = edgefuse.load(routes[1].with_name("mean.efb")).answer({name: sample[name] for name in ("b", "c")})
    assert (result.mode, result.used) == ("degraded", ("b", "c"))
    assert result.streams["a"].state == "imputed"


class Picky(Weighed):
    """Looks up what a sensor says, and has nothing beyond 10."""

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        table = torch.arange(10.0)
        index = torch.where(present[:, 0], embeddings[0][:, 0].abs().long(), 0)
        return super().forward(embeddings, present) + table[index][:, None]


def test_a_graph_that_fails_on_a_value_gives_the_prior_with_its_reason(tmp_path: Path) -> None:
    _, engine = exported(Picky(), tmp_path)
    sample = samples(1)[0]
    sample["a"][0] = 1e6
    result = engine.answer(sample)
    assert result.mode == "blind"
    assert {trust.reason for trust in result.streams.values()} == {"graph_failed"}
    assert result.outputs["way"].tolist() == [0.0, 0.0, 0.0]


def test_what_is_wrong_with_a_stream_that_was_not_asked_for_stays_said() -> None:
    sample = edgefuse.Sample("b", 0, np.zeros(1, np.float32))
    faulty = Judged("error", "non_finite", 80.0, sample, False).set_aside()
    assert (faulty.health, faulty.reason, faulty.sample) == ("error", "non_finite", None)
    sound = Judged("ok", None, 5.0, sample, True).set_aside()
    assert (sound.health, sound.reason, sound.sample) == ("ok", "not_asked", None)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_stream_lost_after_routing_answers_as_if_it_had_never_been_there(
    routes: tuple[FusionModel, Path], lost: int
) -> None:
    name, tried = list(DIMS)[lost], 0
    for sample in samples(12):
        engine = edgefuse.load(routes[1])
        absent = engine.answer({other: payload for other, payload in sample.items() if other != name})
        encoder = encoders_of(engine)[lost]
        run = encoder.run

        def overflow(given: Any, run: Any = run, encoder: Any = encoder) -> None:
            run(given)
            encoder.problem = "non_finite"

        encoder.run = overflow  # type: ignore[method-assign]
        result = engine.answer(sample)
        if result.streams[name].reason == "non_finite":
            tried += 1
            used = {stream for stream, trust in result.streams.items() if trust.available}
            assert used == {stream for stream, trust in absent.streams.items() if trust.available}
            np.testing.assert_allclose(result.outputs["way"], absent.outputs["way"], rtol=1e-5, atol=1e-5)
    assert tried > 0


# Refusals when a model is made


class Unsized(nn.Module):
    """Has no width."""


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (Unsized(), "fusion Unsized: needs an attribute `width`"),
        ("gmu", "operator 'gmu' joins exactly 2 streams, not 3"),
        ("gated_fusion", "operator 'gated_fusion' joins exactly 2 streams, not 3"),
        ("mean", "unknown operator 'mean'"),
        ("graph", "operator 'graph' is a module of your own"),
    ],
)
def test_an_operator_that_does_not_fit_is_refused_by_name(operator: str | nn.Module, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        model_of(operator)


def test_a_rank_and_a_token_are_refused_where_there_are_none() -> None:
    streams = {"a": Stream("vector", nn.Identity(), 3, {"shape": [3]})}
    way = [ClassOutput("way", ["l", "r"])]
    with pytest.raises(ExportError, match="operator 'sum' has no rank, the model says 2"):
        FusionModel(streams, "sum", 4, nn.Linear(4, 2), way, rank=2)
    with pytest.raises(ExportError, match="'attention_pooling' says itself what an absent stream means"):
        FusionModel(streams, "attention_pooling", 4, nn.Linear(4, 2), way, absent="token")
    with pytest.raises(ExportError, match="operator 'gated' does not join feature maps"):
        FusionModel(streams, "gated", 4, nn.Linear(4, 2), way, grid=(2, 2))


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"dim": 0}, "dim must be 1 to 65536, not 0"),
        ({"dim": 4.0}, "dim must be 1 to 65536, not 4.0"),
        ({"operator": "lmf", "rank": 0}, "rank must be 1 to 65536, not 0"),
        ({"grid": (0, 2)}, r"grid\[0\] must be 1 to 65536, not 0"),
        ({"grid": (2,)}, r"grid must be rows and columns, not \(2,\)"),
    ],
)
def test_sizes_that_are_none_are_refused(sizes: dict[str, Any], words: str) -> None:
    streams = {"a": Stream("vector", nn.Identity(), 3, {"shape": [3]})}
    given = {"operator": "sum", "dim": 4, **sizes}
    with pytest.raises(ExportError, match=words):
        FusionModel(streams, head=nn.Linear(4, 2), outputs=[ClassOutput("way", ["l", "r"])], **given)


def test_a_ready_file_for_other_streams_is_refused() -> None:
    with pytest.raises(ExportError, match=r"was made for \['a', 'b', 'c'\], the streams are \['a'\]"):
        FusionModel(
            {"a": Stream("vector", nn.Identity(), 3, {"shape": [3]})},
            OnnxFusion(graph_bytes(), list(DIMS)),
            4,
            nn.Linear(4, 2),
            [ClassOutput("way", ["l", "r"])],
        )


def test_a_module_whose_sizes_do_not_fit_is_refused_with_the_streams_and_their_shapes(tmp_path: Path) -> None:
    module = Weighed()
    module.layers[1] = nn.Linear(9, WIDTH)
    with pytest.raises(ExportError, match=r"the fusion fails on embeddings a \[B, 3\], b \[B, 5\], c \[B, 4\]: .*9"):
        exported(module, tmp_path)


def test_a_ready_file_whose_sizes_do_not_fit_is_refused_with_the_stream_and_both_shapes() -> None:
    streams = {name: Stream("vector", nn.Identity(), d + (name == "b"), {"shape": [d]}) for name, d in DIMS.items()}
    with pytest.raises(ExportError, match=r"'b' is float32 \[B, 5\], stream 'b' gives \[B, 6\]"):
        FusionModel(streams, OnnxFusion(graph_bytes(), list(DIMS)), 4, nn.Linear(4, 2), [ClassOutput("w", ["l", "r"])])
