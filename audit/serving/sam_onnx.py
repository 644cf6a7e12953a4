"""The small SAMs in onnxruntime, which on a CPU is two to three times as fast as torch: every click waits for it."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.adapters.folders import cache_dir
from audit.adapters.ultralytics.environment import installed_version, load_onnxruntime
from audit.runs import atomic

REVISION = 1
"""Raise it when exports of an earlier version of this module must not be used again."""
TOLERANCE = 1e-2
"""Largest difference of a feature or logit that counts as agreement; they are about 1 and 10, 1e-4 is usual."""
KINDS = ("mobile_sam", "lite_medsam")
"""The large ones take longer to export than they would ever save."""


class OnnxEncoder:
    """planes (1, 3, size, size) in, features (1, 256, 64, 64) out."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _session(path, threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._session.run(None, {self._input: planes})[0], np.float32)


class OnnxDecoder:
    """features (1, 256, 64, 64) and prompts (1, t, 256) in; logits (1, 4, 256, 256) and scores (1, 4) out.

    The first of the four masks is SAM's single answer, the others are its three for one ambiguous click.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _session(path, threads)

    def __call__(
        self, features: NDArray[np.float32], prompts: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, scores = self._session.run(None, {"features": features, "prompts": prompts})
        return np.asarray(logits, np.float32), np.asarray(scores, np.float32)


def onnx_networks(
    model: Any, kind: str, digest: str, size: int, threads: int
) -> tuple[tuple[OnnxEncoder, OnnxDecoder] | None, str]:
    """Both halves, exported once for all and compared with the original, or None and why torch has to do.

    model: ultralytics' SAM. digest: of the weights. size: side of the input in pixels.
    """
    if kind not in KINDS:
        return None, f"{kind} is run by torch only"
    if not (installed_version("onnxruntime") and installed_version("onnx")):
        return None, "onnx and onnxruntime are not installed"
    versions = f"{installed_version('ultralytics')}-{installed_version('torch')}-r{REVISION}"
    folder = cache_dir("weights") / "onnx"
    encoder, decoder = (folder / f"{part}-{digest[:32]}-{versions}.onnx" for part in ("sam", "sam-decoder"))
    try:
        _made_once(encoder, lambda path: _write_encoder(model.image_encoder, size, path, threads))
        _made_once(decoder, lambda path: _write_decoder(model, path, threads))
        return (OnnxEncoder(encoder, threads), OnnxDecoder(decoder, threads)), ""
    except Exception as error:  # torch, onnx and onnxruntime raise whatever they like here
        return None, f"the export failed: {' '.join(str(error).split())[:200]}"


def _session(path: Path, threads: int) -> Any:
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _made_once(target: Path, write: Callable[[Path], None]) -> None:
    if target.is_file():
        return
    from filelock import FileLock  # comes with torch; not needed where nothing is exported

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"), tempfile.TemporaryDirectory(prefix="cvat-audit-") as folder:
        if target.is_file():
            return
        made = Path(folder) / "made.onnx"
        write(made)
        with atomic(target) as stream:
            stream.write(made.read_bytes())


def _write_encoder(encoder: Any, size: int, path: Path, threads: int) -> None:
    torch: Any = __import__("torch")
    _export(encoder, (torch.zeros(1, 3, size, size),), path)
    planes = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(planes)).numpy()
    _agree(expected, OnnxEncoder(path, threads)(planes))


def _write_decoder(model: Any, path: Path, threads: int) -> None:
    torch: Any = __import__("torch")
    rng = np.random.default_rng(0)
    features = rng.standard_normal((1, 256, 64, 64)).astype(np.float32)
    prompts = [rng.standard_normal((1, t, 256)).astype(np.float32) for t in (3, 1, 6)]
    inputs = (torch.from_numpy(features), torch.from_numpy(prompts[0]))
    axes = {"prompts": {1: "tokens"}}
    _export(_decoder_module(model), inputs, path, input_names=["features", "prompts"], dynamic_axes=axes)
    export, encoder = OnnxDecoder(path, threads), model.prompt_encoder
    for some in prompts:
        with torch.inference_mode():
            expected = model.mask_decoder.predict_masks(
                image_embeddings=torch.from_numpy(features),
                image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=torch.from_numpy(some),
                dense_prompt_embeddings=encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, 64, 64),
            )
        for ours, theirs in zip(export(features, some), expected, strict=True):
            _agree(theirs.numpy(), ours)


def _decoder_module(model: Any) -> Any:
    """SAM's mask decoder for one picture with any number of prompts; ultralytics' own has no shape ONNX can keep."""
    torch: Any = __import__("torch")
    decoder, encoder, width = model.mask_decoder, model.prompt_encoder, int(model.mask_decoder.transformer_dim)

    class Decoder(torch.nn.Module):  # type: ignore[misc]  # torch is not imported where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder
            self.register_buffer("places", encoder.get_dense_pe().detach().clone())
            self.register_buffer("no_mask", encoder.no_mask_embed.weight.detach().reshape(1, -1, 1, 1).clone())

        def forward(self, features: Any, prompts: Any) -> tuple[Any, Any]:
            own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])[None]
            tokens, pixels = decoder.transformer(features + self.no_mask, self.places, torch.cat([own, prompts], 1))
            fine = decoder.output_upscaling(pixels.transpose(1, 2).reshape(1, width, 64, 64))
            filters = [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)]
            masks = torch.stack(filters, 1) @ fine.reshape(1, width // 8, 256 * 256)
            return masks.reshape(1, -1, 256, 256), decoder.iou_prediction_head(tokens[:, 0])

    return Decoder().eval()


def _export(module: Any, inputs: tuple[Any, ...], path: Path, **options: Any) -> None:
    torch: Any = __import__("torch")
    # the exporter prints and warns about shapes that are fixed here on purpose
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, inputs, str(path), opset_version=17, dynamo=False, **options)


def _agree(expected: NDArray[np.float32], found: NDArray[np.float32]) -> None:
    if expected.shape != found.shape or not float(np.abs(expected - found).max()) <= TOLERANCE:
        raise ValueError("the export disagrees with the original")
