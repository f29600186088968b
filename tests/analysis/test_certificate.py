"""A certificate is given to the same function, and to nothing that is planted."""

import numpy as np
import pytest

from bench import models
from bench.analysis.certificate import SAME, certify, shared_outputs
from bench.models import weights
from bench.record import row as whole_row

ROW = {
    "model": "Mixer-XXS/4",
    "framework": "torch",
    "mode": "infer",
    "dtype": "float32",
    "effective_precision": "float32",
    "track": "protocol",
    "param_count": 10,
    "macs": 20,
    "batch_size": 8,
    "machine_id": "m",
    "device_kind": "cpu",
    "protocol": 1,
}
LOGITS = np.random.default_rng(0).standard_normal(4 * 5)


def row(outputs=LOGITS, **changed):
    values = None if outputs is None else [float(value) for value in outputs]
    return whole_row({**ROW, "probe_outputs": values, **changed})


def test_equal_outputs_are_certified_across_frameworks_variants_and_batches():
    other = row(LOGITS + 5e-5, framework="jax", variant="jit", batch_size=16)
    assert certify(row(), other) == SAME


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"outputs": LOGITS + 2e-4}, "logits differ: 0.000"),
        ({"outputs": None}, "outputs not recorded"),
        ({"outputs": []}, "outputs not recorded"),
        ({"outputs": LOGITS * np.nan}, "outputs not finite"),
        ({"macs": 21}, "macs: 20 and 21"),
        ({"param_count": 11}, "param_count: 10 and 11"),
        ({"mode": "train"}, "mode: infer and train"),
        ({"loss": "sigmoid"}, "loss: None and sigmoid"),
        ({"dtype": "bfloat16"}, "dtype: float32 and bfloat16"),
        ({"track": "tuned"}, "track: protocol and tuned"),
        ({"machine_id": "n"}, "machine_id: m and n"),
        ({"effective_precision": "tf32"}, "effective_precision: float32 and tf32"),
    ],
)
def test_what_differs_is_the_reason(changed, reason):
    assert certify(row(), row(**changed)).startswith(reason)


def test_fewer_images_are_compared_as_far_as_they_go():
    assert certify(row(), row(LOGITS[:10], batch_size=2)) == SAME
    assert certify(row(), row(LOGITS[:10] + 1, batch_size=2)) != SAME


NARROW = {"dtype": "bfloat16", "effective_precision": "bfloat16"}


@pytest.mark.parametrize(
    ("error", "shift", "reason"),
    [
        (1.5, 0.0, SAME),
        (0.7, 0.0, SAME),
        (3.0, 0.0, "rounding errors differ, ratio: 3, over 2"),
        (0.2, 0.0, "rounding errors differ, ratio: 5, over 2"),
        (1.0, 1e-3, "float64 references differ"),
    ],
)
def test_a_narrow_dtype_is_held_to_float64(error, shift, reason):
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(LOGITS))
    one = row(LOGITS + noise, probe_reference=list(LOGITS), **NARROW)
    exact = LOGITS + shift
    other = row(exact + error * noise, probe_reference=list(exact), **NARROW)
    assert certify(one, other).startswith(reason)


def test_a_narrow_dtype_without_reference_is_not_certified():
    found = certify(row(**NARROW), row(**NARROW))
    assert found == "float64 reference not recorded"


@pytest.mark.parametrize(
    ("losses", "changed", "reason"),
    [
        ([2.0, 1.9], {}, SAME),
        ([2.000001, 1.9001], {}, SAME),
        ([2.01, 1.91], {}, "losses differ"),
        ([2.0, 1.95], {}, "updates differ"),
        ([2.0], {}, "outputs not recorded"),
        ([2.0, 1.9], {"batch_size": 16}, "batch_size: 8 and 16"),
        ([2.0, 1.9], {"optimizer": "sgd"}, "optimizer: None and sgd"),
    ],
)
def test_training_agrees_in_the_loss_and_in_what_an_update_takes(
    losses, changed, reason
):
    one, other = row([2.0, 1.9], mode="train"), row(losses, mode="train", **changed)
    assert certify(one, other).startswith(reason)


@pytest.mark.parametrize(
    ("losses", "error", "reason"),
    [
        ([2.0, 1.9], 1.5, SAME),
        ([2.01, 1.91], 1.5, SAME),
        ([2.02, 1.92], 1.5, "losses differ: 0.0099, over 0.0078"),
        ([2.0, 1.85], 1.5, "updates differ: 0.33, over 0.1"),
        ([2.0, 1.9], 3.0, "rounding errors differ, ratio: 3, over 2"),
        ([2.0, 1.9], None, "logits not recorded"),
    ],
)
def test_narrow_training_needs_its_logits_and_agrees_in_the_loss_as_far_as_it_rounds(
    losses, error, reason
):
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(LOGITS))
    how = {"mode": "train", "probe_reference": list(LOGITS), **NARROW}
    one = row([2.0, 1.9, *(LOGITS + noise)], **how)
    theirs = [] if error is None else LOGITS + error * noise
    assert certify(one, row([*losses, *theirs], **how)).startswith(reason)


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        (LOGITS, True),
        (LOGITS * (1 + 1e-6), True),  # sums in no fixed order
        (LOGITS + 0.1, False),
        (LOGITS * np.nan, False),
        (LOGITS[:10], False),
        (None, False),
    ],
)
def test_outputs_count_where_every_repetition_has_them(last, kept):
    found = shared_outputs([list(LOGITS), list(LOGITS), last], "float32")
    assert found == (list(LOGITS) if kept else None)


def test_a_repetition_differs_by_no_more_than_its_dtype_rounds():
    """In float32 a thousandth is another GELU; in bfloat16 it is one rounding."""
    given = [list(LOGITS), list(LOGITS * 1.001)]
    assert shared_outputs(given, "float32") is None
    assert shared_outputs(given, "bfloat16") == list(LOGITS)


# Planted in real networks ----------------------------------------------------------

MODELS = ["Mixer-XXS/4", "ViT-XXS/4", "BiT-R14x1/4"]


# The function is the same without: softmax is blind to what all keys share, and layer
# norms, through which alone the stream is read, to what all channels of a token share.
NO_EFFECT = ("/key/bias", "token_mixing/Dense_1/bias")


@pytest.fixture(scope="module", params=MODELS)
def network(request):
    pytest.importorskip("torch")
    from bench import backend

    torch_backend = backend.load("torch", "cpu")
    spec = models.spec_for(request.param, image_size=16, num_classes=5)
    images = np.random.default_rng(0).standard_normal((4, 16, 16, 3), dtype=np.float32)

    def outputs(**planted):
        start = {**weights.random(spec, 0), **planted}
        work = torch_backend.infer(spec, start, images, dtype="float32")
        work.enqueue()
        return work.outputs()

    return spec, outputs


def test_any_one_tensor_zeroed_loses_it(network):
    spec, outputs = network
    honest = row(outputs())
    assert certify(honest, row(outputs())) == SAME
    for name, tensor in spec.tensors().items():
        if name.endswith(NO_EFFECT):
            continue
        planted = row(outputs(**{name: np.zeros(tensor.shape, np.float32)}))
        assert certify(honest, planted).startswith("logits differ"), name


def test_another_gelu_or_another_epsilon_loses_it(network, monkeypatch):
    import torch.nn.functional as F

    spec, outputs = network
    honest = row(outputs())
    plain_gelu, group_norm, layer_norm = F.gelu, F.group_norm, F.layer_norm
    with monkeypatch.context() as patch:
        patch.setattr(F, "gelu", lambda x, approximate: plain_gelu(x))
        patch.setattr(
            F, "group_norm", lambda x, n, g, b, eps: group_norm(x, n, g, b, 1e-3)
        )
        other = certify(honest, row(outputs()))
    assert other.startswith("logits differ")
    if spec.family == "resnet":
        return
    with monkeypatch.context() as patch:
        patch.setattr(
            F, "layer_norm", lambda x, s, g, b, eps: layer_norm(x, s, g, b, 1e-3)
        )
        other = certify(honest, row(outputs()))
    assert other.startswith("logits differ")
