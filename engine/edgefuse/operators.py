"""The one table of fusion operators: what each joins, its parameters, and what an absent stream means to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgefuse.algebra import Absent, Operator
from edgefuse.joins import Join, Size
from edgefuse.reference import Activation, Reduce

_TEXTBOOK = "Baltrusaitis et al. 2019, arXiv 1705.09406"
_MULTCONCAT = "Amel et al. 2024, arXiv 2406.04349"
_GMU = "Arevalo et al. 2017, arXiv 1702.01992"
_KIELA = "Kiela et al. 2018, arXiv 1802.02892"
_ATTEND = "Awan et al. 2024, arXiv 2408.14441; widths are ours"
_ZERO_BLOCK = "a block of zeros"
_ZERO = "0"
_NO_VOTE = "has no vote"
_MASKED = "its tokens are masked out of every softmax"
_RELU, _SUM, _PRODUCT = Activation.RELU, Reduce.SUM, Reduce.PRODUCT


def _dim(s: Size) -> int:
    return s.dim


def _blocks(s: Size) -> int:
    return s.streams * s.dim


def _tensor(s: Size) -> int:
    return int((s.dim + 1) ** s.streams)


def _unknown(s: Size) -> None:
    return None


# fmt: off
_ROWS: tuple[Operator, ...] = (
    Operator("concat", "Concatenation", "u_1 || ... || u_N", _ZERO_BLOCK, _TEXTBOOK,
     "The default to beat: the head sees every stream by itself. Grows with the number of streams.",
     concat=True, maps=True),
    Operator("sum", "Addition", "sum_P u_i", _ZERO, _TEXTBOOK,
     "Streams that say the same kind of thing. The scale follows the number present; train with absence.",
     reduce=_SUM, maps=True),
    Operator("average", "Average", "sum_P u_i / |P|", "0, and not counted", _TEXTBOOK,
     "As addition, at a scale that does not depend on how many are present.",
     reduce=Reduce.AVERAGE, maps=True),
    Operator("max", "Maximum", "max_P u_i, element by element", "left out", _TEXTBOOK,
     "Any one stream seeing it is enough: detections, alarms.",
     reduce=Reduce.MAX, maps=True),
    Operator("product", "Hadamard product", "prod_P u_i", "1", _TEXTBOOK,
     "Agreement alone matters. One dead stream kills it: never fill an absent stream with zeros.",
     reduce=_PRODUCT, maps=True),
    Operator("multconcat", "MultConcat", "u_1 || ... || u_N || prod_P u_i, act = relu",
     "a block of zeros, and 1 in the product",
     _MULTCONCAT,
     "Each stream by itself and their agreement. With one stream present the product repeats its block.",
     concat=True, reduce=_PRODUCT, activation=_RELU, maps=True),
    Operator("multconcat_joint", "MultConcat, joint evidence only",
     "u_1 || ... || u_N || (prod_P u_i if |P| > 1 else 0), act = relu", "a block of zeros, and 1 in the product",
     _MULTCONCAT + "; the rule for a single stream is ours",
     "MultConcat whose product says 'no agreement to report' when one stream is alone.",
     concat=True, reduce=Reduce.JOINT_PRODUCT, activation=_RELU, maps=True),
    Operator("gated", "Scalar softmax gate", "sum_P a_i u_i, a = softmax_P(w_i . u_i + c_i)",
     "a_i = 0; the others share its weight",
     _GMU + ", with scalar gates on each stream's own embedding",
     "One weight a stream that a person can read. Each logit comes from its own stream, so a loss changes no other.",
     join=Join.GATE),
    Operator("cnw", "Channel-normalised weights", "sum_P a_i u_i, a = softmax_P of a learned logit a channel",
     "the others share its weight, channel by channel", "Wang et al. 2023 (UniBEV), arXiv 2309.14516",
     "Fixed weights, no gate to compute: the calmest under absence.", join=Join.CHANNEL),
    Operator("embracenet", "EmbraceNet",
     "sum_P a_i u_i, a uniform over P; in training each feature draws its stream; act = relu",
     "never drawn", "Choi and Lee 2019, arXiv 1904.09078",
     "Training by drawing is itself a training for absence.", join=Join.SHARE, activation=_RELU),
    Operator("gmu", "GMU, two streams", "z tanh(v_0) + (1 - z) tanh(v_1), z = sigmoid(g_0 + g_1)",
     "z = 0 or 1: the other alone",
     _GMU, "Two streams, one of which should win feature by feature.", join=Join.GMU, exactly=2),
    Operator("gmu_n", "GMU, N streams", "sum_P sigmoid(G_i) tanh(v_i), G_i = sum_P of every stream's vote on stream i",
     "its term and its votes are left out", _GMU, "As GMU for more streams; the gates cost N times the projection.",
     join=Join.GMU_N),
    Operator("gated_fusion", "GatedFusion, two streams", "sigmoid(u_0) u_1: the FIRST stream gates the SECOND",
     "the other's own projection, ungated", _KIELA,
     "One stream says what matters in the other. Not symmetric: the order of the streams decides which is the gate.",
     join=Join.PAIR, exactly=2),
    Operator("gated_fusion_n", "GatedFusion, N streams", "sum_P v_i prod_{j != i} sigmoid(s_j)",
     "its gate is 1 and its term 0",
     _KIELA + "; the symmetric form for N streams is ours", "GatedFusion without a special stream.",
     join=Join.PAIRS),
    Operator("poe", "Product of experts", "mean and variance of the product of Gaussians N(m_i, exp l_i) and N(0, 1)",
     "precision 0: its term is dropped", "Wu and Goodman 2018, arXiv 1802.05335",
     "Streams that know how sure they are; equal to Kalman updates in any order.", join=Join.EXPERTS),
    Operator("lmf", "Low-rank multimodal fusion", "sum_q w_q prod_i [1; x_i]^T F_i^q + b (eq. 8)",
     "an embedding of zeros with its appended 1 kept", "Liu et al. 2018, arXiv 1806.00064",
     "All products of all streams at a low rank. Starts near 1, so that products of many factors stay alive.",
     join=Join.LMF, absent=Absent.ZERO_INPUT, rank="factors that are summed"),
    Operator("mlb", "Low-rank bilinear pooling", "prod_P u_i, act = relu", "1", "Kim et al. 2017, arXiv 1610.04325",
     "The product of rectified projections; its output layer is the head's first.",
     reduce=_PRODUCT, activation=_RELU, maps=True),
    Operator("mfb", "Factorised bilinear pooling", "signed root and unit norm of sum_q prod_P u_i[j, q], act = relu",
     "1",
     "Yu et al. 2017, arXiv 1708.01471", "Bilinear detail at a price of `rank` projections.",
     join=Join.MFB, activation=_RELU, rank="factors a feature"),
    Operator("mutan", "MUTAN", "signed root and unit norm of sum_q prod_P u_i[q, j]", "1",
     "Ben-younes et al. 2017, arXiv 1705.06676", "As MFB, without rectification and with the rank outermost.",
     join=Join.MUTAN, rank="products that are summed"),
    Operator("fc_residual_early", "FC residual, early", "h + relu(V h + c), h = relu(sum_P u_i)", _ZERO, _ATTEND,
     "One dense block on everything at once.", join=Join.RESIDUAL_EARLY),
    Operator("fc_residual_late", "FC residual, late",
     "for each stream u_i + relu(V_i u_i + c_i), side by side, act = relu",
     _ZERO_BLOCK + "; its block is not computed",
     _ATTEND, "A deeper path of its own for each stream, skipped when absent.",
     join=Join.RESIDUAL_LATE, activation=_RELU),
    Operator("fc_residual_gated_early", "FC residual gated, early",
     "h + sigmoid(G h + g) relu(V h + c), h = relu(sum_P u_i)",
     _ZERO, _ATTEND, "As FC residual, early, with a gate on what the block adds.", join=Join.RESIDUAL_GATED_EARLY),
    Operator("fc_residual_gated_late", "FC residual gated, late",
     "for each stream u_i + sigmoid(G_i u_i + g_i) relu(V_i u_i + c_i)",
     _ZERO_BLOCK + "; its block is not computed", _ATTEND, "As FC residual, late, with a gate on what each block adds.",
     join=Join.RESIDUAL_GATED_LATE, activation=_RELU),
    Operator("late_logits", "Late: mean of logits", "sum_P l_i / |P|", _NO_VOTE, _TEXTBOOK,
     "Good classifiers a stream. An over-confident one dominates.", reduce=Reduce.AVERAGE, classes=True),
    Operator("late_probabilities", "Late: mean of probabilities", "log mean_P softmax(l_i)", _NO_VOTE, _TEXTBOOK,
     "The linear opinion pool: no one vote can be worth more than one.", join=Join.VOTE_MEAN, classes=True),
    Operator("late_weighted", "Late: weighted",
     "log sum_P a_i softmax(l_i), a = softmax_P of a learned logit a stream", _NO_VOTE,
     _TEXTBOOK, "As the mean, with learned trust in each stream.", join=Join.VOTE_SHARE, classes=True),
    Operator("late_product", "Late: product", "log softmax(sum_P log q_i - (|P| - 1) log prior)", _NO_VOTE,
     "Hinton 2002, Neural Computation 14(8)",
     "Streams that are independent given the class. The prior is counted once; fit it with `fit_prior`.",
     join=Join.VOTE_PRODUCT, classes=True),
    Operator("late_majority", "Late: majority", "votes for each stream's best class + half the mean probability",
     _NO_VOTE,
     _TEXTBOOK, "Votes that an auditor can count. Trained as the mean of probabilities.",
     join=Join.VOTE_MAJORITY, classes=True),
    Operator("late_stacking", "Late: stacking", "softmax(l_1) || ... || softmax(l_N), read by the head",
     _ZERO_BLOCK, _TEXTBOOK,
     "A learned vote; behaves like concatenation.", join=Join.STACK),
    Operator("coordinated", "Mean direction", "sum_P u_i / |u_i|, at unit length", _ZERO,
     "Radford et al. 2021 (CLIP), arXiv 2103.00020", "One space for all sensors: retrieval with a similarity head.",
     join=Join.COSINE),
    Operator("early", "Early fusion", "a network on x_1 || ... || x_N || present",
     "a learned constant in place of its input, and its presence bit", _TEXTBOOK,
     "Inputs that are aligned: planes of one image. Nothing is skipped; with a grid it joins feature maps.",
     graph=_dim, maps=True),
    Operator("tfn", "Tensor fusion", "the outer product of all [1; h_i]", "its monomials vanish; the constant 1 stays",
     "Zadeh et al. 2017, arXiv 1707.07250", "All interactions exactly, for few streams at a small `dim`; else LMF.",
     graph=_tensor),
    Operator("attention_pooling", "Attention pooling", "a learned query attends over the streams' embeddings", _MASKED,
     "Vaswani et al. 2017, arXiv 1706.03762", "Weights that depend on content, for many streams.", graph=_dim),
    Operator("cross_attention", "Cross-modal attention", "each stream's tokens attend to the tokens of the others",
     _MASKED + "; its own block is zeros", "Tsai et al. 2019 (MulT), arXiv 1906.00295",
     "One stream explains another. Four tokens a stream by default.", graph=_blocks, rank="tokens a stream"),
    Operator("self_cross_attention", "Self and cross attention (FCRN)",
     "self attention, cross attention, dense residual block",
     _MASKED + "; its own block is zeros", _ATTEND, "The deepest of the attention forms here, and the dearest.",
     graph=_dim, rank="tokens a stream"),
    Operator("attend_fusion", "Attend-Fusion", "self attention a stream, then one dense layer on all", _ZERO_BLOCK,
     _ATTEND,
     "Structure within each stream first, late concatenation after.", graph=_dim, rank="tokens a stream"),
    Operator("bottleneck", "Bottleneck transformer (MBT)", "streams exchange through 4 shared tokens, averaged over P",
     "not in the averages", "Nagrani et al. 2021, arXiv 2107.00135",
     "Attention whose cost grows linearly with the streams.", graph=_dim, rank="tokens a stream"),
    Operator("shaspec", "Shared and specific features (ShaSpec)",
     "f_1 || ... || f_N, f_i = r_i + W (r_i || s_i) + b, r_i = R_i x_i, s_i = S_i x_i",
     "the mean of the shared features r of those present", "Wang et al. 2023, arXiv 2307.14126; projections are ours",
     "What the others have in common with a lost stream stands in for it. Trained with two losses of its own.",
     graph=_blocks),
    Operator("dynamic", "Dynamic routing (DynMM)", "a gate picks one expert, which sees only its own streams",
     "experts that need it are not feasible", "Xue and Marculescu 2023, arXiv 2204.00102",
     "Save work when one cheap sensor is enough: encoders outside the chosen branch do not run.", graph=_dim),
    Operator("graph", "Your own graph", "any ONNX graph of the embeddings and `present`",
     "what the graph makes of `present`",
     "yours", "What the table does not have: export any torch module, or bring a fusion.onnx.", graph=_unknown),
)
# fmt: on

OPERATORS: Mapping[str, Operator] = {row.name: row for row in _ROWS}


def subsets(streams: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset of the streams, smallest first, in the order of the streams."""
    n = len(streams)
    masks = sorted(range(1, 1 << n), key=lambda m: (m.bit_count(), [-(m >> i & 1) for i in range(n)]))
    return [tuple(s for i, s in enumerate(streams) if m >> i & 1) for m in masks]
