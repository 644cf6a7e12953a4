"""SAM and SAM 2 as two steps: the costly ``encode`` of a picture, the cheap ``decode`` of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.adapters.ultralytics.environment import default_device, load_opencv
from audit.core.table import FloatArray
from audit.errors import ServiceError, UsageError
from audit.serving.embeddings import Embedding, halved
from audit.serving.sam_onnx import OnnxDecoder, OnnxEncoder, onnx_networks
from audit.serving.sam_weights import open_sam_weights

# ImageNet's mean and deviation per channel, with which SAM and SAM 2 were trained; in units of 0..255
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
GRID = 256
"""Side of the decoder's masks."""


@dataclass(frozen=True)
class Prompts:
    """points: (n, 2) xy in pixels of the frame. labels: (n,) 1 inside, 0 outside. box: (4,) xyxy or None."""

    points: FloatArray
    labels: NDArray[np.int64]
    box: FloatArray | None

    @property
    def ambiguous(self) -> bool:
        """One click and nothing else: part or whole? SAM then offers three masks."""
        return self.box is None and len(self.labels) == 1


@dataclass(frozen=True)
class Candidates:
    """logits: (k, 256, 256), above 0 inside. score: (k,) the model's own estimate of each mask's IoU."""

    logits: NDArray[np.float32]
    score: NDArray[np.float32]


class Network(Protocol):
    """A SAM. digest: of its weights, part of the key under which embeddings are kept."""

    kind: str
    digest: str
    notes: str

    def encode(self, rgb: NDArray[np.uint8]) -> Embedding:
        """rgb: (h, w, 3), as shown."""

    def decode(self, embedding: Embedding, prompts: Prompts) -> Candidates:
        """Masks on the picture's grid, see ``grid_gain``."""

    def decode_boxes(self, embedding: Embedding, boxes: FloatArray) -> Candidates:
        """One mask for each box, all in one go. boxes: (n, 4) xyxy in pixels of the frame, n at least 1."""

    def grid_gain(self, frame_hw: tuple[int, int]) -> tuple[float, float]:
        """Grid cells per pixel of the frame, across and down."""


def open_sam(
    wanted: str, *, device: str | None = None, threads: int = 0, runtime: Literal["auto", "torch"] = "auto"
) -> Network:
    """Load weights by path or known name. Raises UsageError or ServiceError.

    threads: on a CPU, 0 leaves torch its own choice. runtime: "auto" runs small SAMs with onnxruntime on a CPU.
    """
    model, kind, digest = open_sam_weights(wanted)
    torch: Any = __import__("torch")
    if threads:
        torch.set_num_threads(threads)
    chosen = device or default_device()
    try:
        model = model.to(chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device '{chosen}' cannot be used ({str(error).splitlines()[0]}); try 'cpu'") from None
    if kind.startswith("sam2"):
        return _Sam2(model, kind, digest, chosen)
    network = _Sam1(model, kind, digest, chosen)
    if chosen == "cpu" and runtime == "auto":
        network.use_onnx(threads or torch.get_num_threads())
    return network


class _TorchSam:
    """What SAM and SAM 2 share: running torch, and its failures."""

    notes = ""

    def __init__(self, model: Any, kind: str, digest: str, device: str) -> None:
        self.model, self.kind, self.digest, self.device = model, kind, digest, device
        self._torch: Any = __import__("torch")

    def encode(self, rgb: NDArray[np.uint8]) -> Embedding:
        planes = self.network_input(rgb)
        outputs = self._run(lambda: self._features(self._tensor(planes)))
        return Embedding(tuple(halved(o.float().cpu().numpy()) for o in outputs), (rgb.shape[0], rgb.shape[1]))

    def decode(self, embedding: Embedding, prompts: Prompts) -> Candidates:
        logits, score = self._run(lambda: self._decoded(embedding, prompts))
        return Candidates(logits[0].float().cpu().numpy(), score[0].float().cpu().numpy())

    def decode_boxes(self, embedding: Embedding, boxes: FloatArray) -> Candidates:
        logits, score = self._run(lambda: self._of_boxes(embedding, boxes))
        return Candidates(logits[:, 0].float().cpu().numpy(), score[:, 0].float().cpu().numpy())

    def network_input(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(1, 3, size, size) as the network was trained."""
        raise NotImplementedError

    def _features(self, planes: Any) -> list[Any]:
        raise NotImplementedError

    def _decoded(self, embedding: Embedding, prompts: Prompts) -> tuple[Any, Any]:
        raise NotImplementedError

    def _of_boxes(self, embedding: Embedding, boxes: FloatArray) -> tuple[Any, Any]:
        raise NotImplementedError

    def _run(self, work: Any) -> Any:
        try:
            with self._torch.inference_mode():
                return work()
        except RuntimeError as error:  # out of memory, mostly
            raise ServiceError(f"torch failed in {self.kind}: {' '.join(str(error).split())[:200]}") from None

    def _tensor(self, values: NDArray[Any]) -> Any:
        tensor = self._torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        return tensor.float() if tensor.is_floating_point() else tensor

    def _prompt(self, xy: FloatArray, labels: NDArray[np.int64]) -> tuple[Any, Any]:
        return self._tensor(xy[None]), self._tensor(labels.astype(np.int32)[None])


class _Sam1(_TorchSam):
    """SAM, MobileSAM and LiteMedSAM: the longer side is scaled to the input, the rest is zero."""

    onnx: tuple[OnnxEncoder, OnnxDecoder] | None = None

    def use_onnx(self, threads: int) -> None:
        """Encode and decode with onnxruntime from now on; ``notes`` says why if that cannot be."""
        self.onnx, self.notes = onnx_networks(self.model, self.kind, self.digest, self.size, threads)

    def encode(self, rgb: NDArray[np.uint8]) -> Embedding:
        if self.onnx is None:
            return super().encode(rgb)
        return Embedding((halved(self.onnx[0](self.network_input(rgb))),), (rgb.shape[0], rgb.shape[1]))

    def decode(self, embedding: Embedding, prompts: Prompts) -> Candidates:
        if self.onnx is None:
            return super().decode(embedding, prompts)
        sparse, _ = self._run(lambda: self._prompted(embedding, prompts))
        logits, score = self.onnx[1](embedding.features[0].astype(np.float32), sparse.numpy())
        wanted = slice(1, None) if self._several(prompts) else slice(0, 1)
        return Candidates(logits[0, wanted], score[0, wanted])

    @property
    def size(self) -> int:
        return 256 if self.kind == "lite_medsam" else 1024

    def grid_gain(self, frame_hw: tuple[int, int]) -> tuple[float, float]:
        return GRID / max(frame_hw), GRID / max(frame_hw)

    def network_input(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        h, w = (max(round(side * self.size / max(rgb.shape[:2])), 1) for side in rgb.shape[:2])
        small = _resized(rgb, (w, h))
        if self.kind == "lite_medsam":
            low, high = float(small.min()), float(small.max())
            scaled = (small.astype(np.float32) - low) / max(high - low, 1e-8)
        else:
            scaled = (small.astype(np.float32) - MEAN) / DEVIATION
        planes = np.zeros((1, 3, self.size, self.size), np.float32)
        planes[0, :, :h, :w] = scaled.transpose(2, 0, 1)
        return planes

    def _features(self, planes: Any) -> list[Any]:
        return [self.model.image_encoder(planes)]

    def _decoded(self, embedding: Embedding, prompts: Prompts) -> tuple[Any, Any]:
        sparse, dense = self._prompted(embedding, prompts)
        logits, score = self.model.mask_decoder(
            image_embeddings=self._tensor(embedding.features[0]),
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self._several(prompts),
        )
        return logits, score

    def _several(self, prompts: Prompts) -> bool:
        """LiteMedSAM was trained on its single mask only."""
        return prompts.ambiguous and self.kind != "lite_medsam"

    def _prompted(self, embedding: Embedding, prompts: Prompts) -> tuple[Any, Any]:
        """The prompts as tokens (1, t, 256), and what stands for a mask given before."""
        gain = self.size / max(embedding.frame_hw)
        points = self._prompt(prompts.points * gain, prompts.labels) if len(prompts.labels) else None
        box = None if prompts.box is None else self._tensor(prompts.box[None] * gain)
        sparse, dense = self.model.prompt_encoder(points=points, boxes=box, masks=None)
        return sparse, dense

    def _of_boxes(self, embedding: Embedding, boxes: FloatArray) -> tuple[Any, Any]:
        gain, encoder = self.size / max(embedding.frame_hw), self.model.prompt_encoder
        sparse, dense = encoder(points=None, boxes=self._tensor(boxes * gain), masks=None)
        logits, score = self.model.mask_decoder(
            image_embeddings=self._tensor(embedding.features[0]),
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return logits, score


class _Sam2(_TorchSam):
    """SAM 2 and 2.1: the picture is stretched to the square input, boxes are two points of their own kind."""

    size = 1024

    def grid_gain(self, frame_hw: tuple[int, int]) -> tuple[float, float]:
        return GRID / frame_hw[1], GRID / frame_hw[0]

    def network_input(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = _resized(rgb, (self.size, self.size))
        planes: NDArray[np.float32] = ((small.astype(np.float32) - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
        return planes

    def _features(self, planes: Any) -> list[Any]:
        model = self.model
        _, levels, _, sizes = model._prepare_backbone_features(model.forward_image(planes))
        levels[-1] = levels[-1] + model.no_mem_embed
        return [
            level.permute(1, 2, 0).reshape(1, -1, int(h), int(w)) for level, (h, w) in zip(levels, sizes, strict=True)
        ]

    def _decoded(self, embedding: Embedding, prompts: Prompts) -> tuple[Any, Any]:
        h, w = embedding.frame_hw
        xy, labels = prompts.points, prompts.labels
        if prompts.box is not None:
            xy = np.concatenate([prompts.box.reshape(2, 2), xy])
            labels = np.concatenate([[2, 3], labels])
        encoder = self.model.sam_prompt_encoder
        points = self._prompt(xy * [self.size / w, self.size / h], labels)
        sparse, dense = encoder(points=points, boxes=None, masks=None)
        *fine, coarse = (self._tensor(f) for f in embedding.features)
        logits, score, _, _ = self.model.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=prompts.ambiguous,
            repeat_image=False,
            high_res_features=fine,
        )
        return logits, score

    def _of_boxes(self, embedding: Embedding, boxes: FloatArray) -> tuple[Any, Any]:
        (h, w), encoder = embedding.frame_hw, self.model.sam_prompt_encoder
        corners = boxes.reshape(-1, 2, 2) * [self.size / w, self.size / h]
        kinds = np.tile(np.array([2, 3], np.int32), (len(boxes), 1))
        sparse, dense = encoder(points=(self._tensor(corners), self._tensor(kinds)), boxes=None, masks=None)
        *fine, coarse = (self._tensor(f) for f in embedding.features)
        logits, score, _, _ = self.model.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            repeat_image=True,
            high_res_features=fine,
        )
        return logits, score


def _resized(rgb: NDArray[np.uint8], wh: tuple[int, int]) -> NDArray[np.uint8]:
    cv2 = load_opencv()
    shrinks = wh[0] * wh[1] < rgb.shape[0] * rgb.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, wh, interpolation=how), np.uint8)
